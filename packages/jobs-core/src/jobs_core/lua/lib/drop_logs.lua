--- Removes the logs of jobs, with what was told of them or with the jobs themselves.
local function drop_logs(q, ids)
  if redis.call("HDEL", q.P .. "logs", unpack(ids)) > 0 then
    local keys = {}
    for i = 1, #ids do
      keys[i] = q.P .. "log:" .. ids[i]
    end
    redis.call("UNLINK", unpack(keys))
  end
end
