--- Closes a flow: nothing more is added. What was kept back is sent from now on, part by part (call again while some is left).
-- `seen` is how many jobs the caller knows to be there: where they are fewer, the server lost some that it had answered for.
-- PREFIX: P
-- ARGV: flow_id:str seen:int
-- RETURNS: state, parts that are left to send, entries of the outbox
-- ERRORS: SCHEMA, WRONGTYPE, LOST
-- INCLUDE: open save unsound flow_publish flow_ended flow_keys
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local keys = flow_keys(P, flow_id)
local f, left = redis.call("HMGET", keys.flow, "state", "n"), 0
local state = f[1]
if tonumber(f[2] or 0) < seen then
  return redis.error_reply(table.concat({ "LOST ", f[2] or "0" }))
end
if state == "open" or state == "staging" then
  redis.call("HSET", keys.flow, "state", "running")
  redis.call("UNLINK", keys.chunks)
  redis.call("ZREM", P .. "flows.due", flow_id)
  state = "running"
end
if state == "running" then
  if redis.call("EXISTS", keys.staged) == 1 then
    left = (flow_publish(q, flow_id))
  end
  flow_ended(q, flow_id)
  state = redis.call("HGET", keys.flow, "state")
end
save(q)
return { state or "", left, rawget(q, "posted") or {} }
