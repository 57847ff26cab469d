--- Makes a blocked job wait for `n` others, those that have ended among them; what their ends decided before is done now.
-- INCLUDE: decide flow_keys
local function join(q, id, n)
  local P, keys = q.P, flow_keys(q.P, id, true)
  local before = redis.call("HMGET", keys.flow, "verdict", "why")
  -- Each has a bit, so none is counted twice, nor one beyond those that it waits for.
  local resolved = n > 0 and redis.call("BITCOUNT", keys.done, 0, n - 1, "BIT") or 0
  redis.call("HSET", keys.flow, "n", n, "resolved", resolved)
  redis.call("ZADD", P .. "joins", string.format("%.0f", q.ms), id)
  redis.call("ZREM", P .. "early", id)
  if before[1] then
    redis.call("HDEL", keys.flow, "verdict", "why")
    decide(q, id, before[1], before[2])
  elseif resolved >= n then
    unblock(q, id)
  end
end
