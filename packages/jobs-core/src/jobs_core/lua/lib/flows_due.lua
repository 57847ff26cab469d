--- Looks after flows whose time has come: goes on sending what a closed one kept back, forgets one that was never closed, fails one whose
-- filler did not come back; forgets those that ended 7 days ago, or 10,000 flows ago, and ends that were told of before anybody asked.
-- INCLUDE: flow_publish flow_stop forget_flows
local function flows_due(q)
  local P = q.P
  if redis.call("EXISTS", P .. "flows.due", P .. "flows.ended", P .. "early.due") == 0 then
    return 0
  end
  local n, due = 0, redis.call("ZRANGEBYSCORE", P .. "flows.due", "-inf", q.ms, "LIMIT", 0, 4)
  for i = 1, #due do
    local id = due[i]
    local state = redis.call("HGET", P .. "flow:" .. id, "state")
    n = n + 1
    if state == "running" then
      flow_publish(q, id)
    elseif state == "open" then
      flow_stop(q, id, "failed")
      redis.call("HSET", P .. "flow:" .. id, "abandoned", 1)
    else
      redis.call("ZREM", P .. "flows.due", id)
      redis.call("ZREM", P .. "flows", id)
      forget_flows(q, { id })
    end
  end
  local old = redis.call("ZRANGEBYSCORE", P .. "flows.ended", "-inf", q.ms - 604800000, "LIMIT", 0, 100)
  local over = redis.call("ZCARD", P .. "flows.ended") - 10000
  if not old[1] and over > 0 then
    old = redis.call("ZRANGE", P .. "flows.ended", 0, math.min(over, 100) - 1)
  end
  if old[1] then
    redis.call("ZREM", P .. "flows.ended", unpack(old))
    forget_flows(q, old)
  end
  local early = redis.call("ZRANGEBYSCORE", P .. "early.due", "-inf", q.ms, "LIMIT", 0, 500)
  if early[1] then
    redis.call("ZREM", P .. "early.due", unpack(early))
    redis.call("HDEL", P .. "early", unpack(early))
  end
  return n + #old + #early
end
