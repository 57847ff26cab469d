--- Calls off what jobs added for themselves and waited for, where they end as cancelled: nobody is to have it any more.
-- INCLUDE: flow_keys post_owned
local function disown(q, ids)
  for i = 1, #ids do
    local key = flow_keys(q.P, ids[i], true).owned
    local owned = redis.call("LRANGE", key, 0, -1)
    for j = 1, #owned do
      post_owned(q, owned[j])
    end
    if owned[1] then
      redis.call("UNLINK", key)
    end
  end
end
