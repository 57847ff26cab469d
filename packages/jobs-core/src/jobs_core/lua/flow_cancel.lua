--- Cancels a flow and, 128 at a time, the jobs that it follows, by effects for their queues: call again with the ordinal it stopped at.
-- If nobody does, workers go on from there.
-- PREFIX: P
-- ARGV: flow_id:str from:int
-- RETURNS: cancelled, already_finished or not_found; ordinal to go on with (-1: the end), entries of the outbox
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound flow_halt
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local verdict, at = flow_halt(q, flow_id, from)
save(q)
return { verdict, at or -1, rawget(q, "posted") or {} }
