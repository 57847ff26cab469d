--- Sends the callbacks of a flow that wait for this (`success`, `failure` or `complete`): once, for then they are gone.
-- INCLUDE: pieces post
local function fire(q, id, moment)
  local key, field = q.P .. "flow:" .. id, table.concat({ "on:", moment })
  local packed = redis.call("HGET", key, field)
  if packed then
    local found = pieces(packed)
    for i = 1, #found, 3 do
      post(q, found[i], { found[i + 1], found[i + 2] })
    end
    redis.call("HDEL", key, field)
  end
end
