--- Pauses a queue: a gate that claim reads, never a home. Running jobs go on.
-- PREFIX: P
-- ARGV: actor:str reason:str
-- RETURNS: 1 if it was running, 0 if it was paused already
-- ERRORS: SCHEMA
-- INCLUDE: open save event
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
local was = q.paused
redis.call("HSET", P .. "cfg", "paused", string.format("%.0f", q.ms), "pause_actor", actor, "pause_reason", reason)
event(q, "paused", actor .. "\n" .. reason)
save(q)
return was and 0 or 1
