--- Cancels a flow and, 128 at a time, the jobs that it follows, by effects for their queues: call again with the ordinal it stopped at.
-- If nobody does, workers go on from there.
-- PREFIX: P
-- ARGV: flow_id:str from:int
-- RETURNS: cancelled, already_finished or not_found; ordinal to go on with (-1: the end), entries of the outbox
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound flow_stop flow_call_off
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local f = redis.call("HMGET", table.concat({ P, "flow:", flow_id }), "state", "called_off")
if not f[1] then
  return { "not_found", -1, {} }
elseif f[1] == "completed" or f[1] == "failed" or f[1] == "cancelled" and not f[2] then
  return { from > 0 and f[1] == "cancelled" and "cancelled" or "already_finished", -1, {} }
elseif f[1] ~= "cancelled" then
  flow_stop(q, flow_id, "cancelled")
end
local at = flow_call_off(q, flow_id, math.max(from, tonumber(f[2] or 0)))
save(q)
return { "cancelled", at or -1, rawget(q, "posted") or {} }
