--- Opens a flow that has no job of its own: it counts the ends of the jobs that are added, and sends its callbacks.
-- `staging` keeps back what is added until the flow is closed, `open` lets it go at once. Whoever fills it is to come back within
-- `timeout_ms` each time.
-- PREFIX: P
-- ARGV: flow_id:str state:str timeout_ms:int info:str
-- REST: moment (success, failure, complete) and callbacks (target, kind and content of each, packed)
-- RETURNS: state ("" it was opened), jobs that were added
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound forget_flows
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local key = table.concat({ P, "flow:", flow_id })
if redis.call("ZREM", P .. "trash.flows", flow_id) + redis.call("ZREM", P .. "trash.flows.ended", flow_id) > 0 then
  -- It was obliterated.
  forget_flows(q, { flow_id })
end
local there = redis.call("HMGET", key, "state", "n")
if there[1] then
  return { there[1], tonumber(there[2]) }
end
local now = string.format("%.0f", q.ms)
redis.call("HSET", key, "state", state, "n", 0, "resolved", 0, "created", now)
redis.call("HSET", key, "timeout", timeout_ms, "info", info)
for i = 5, #ARGV, 2 do
  redis.call("HSET", key, "on:" .. ARGV[i], ARGV[i + 1])
end
redis.call("ZADD", P .. "flows", now, flow_id)
redis.call("ZADD", P .. "flows.due", string.format("%.0f", q.ms + timeout_ms), flow_id)
save(q)
return { "", 0 }
