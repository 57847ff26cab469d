--- Resumes a paused queue and wakes idle owners for what waits.
-- PREFIX: P
-- RETURNS: 1 if it was paused, 0 if it was running already
-- ERRORS: SCHEMA
-- INCLUDE: open save event
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
local was = q.paused
redis.call("HDEL", P .. "cfg", "paused", "pause_actor", "pause_reason")
q.paused = false
q.need = math.min(redis.call("ZCARD", P .. "waiting") + redis.call("ZCARD", P .. "delayed"), 1000)
if was then
  event(q, "resumed", "\n")
end
save(q)
return was and 1 or 0
