--- Resumes what is paused (the queue, or of it the jobs of a name or of a key) and wakes idle owners for what waits.
-- PREFIX: P
-- ARGV: what:str
-- RETURNS: 1 if it was paused, 0 if it was running already
-- ERRORS: SCHEMA
-- INCLUDE: open save hold event pause_over
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
pause_over(q)
local was = q.paused
if what == "" then
  redis.call("HDEL", P .. "cfg", "paused", "pause_actor", "pause_reason", "paused_until")
  q.paused = false
else
  was = hold(q, "pause:" .. what, "")
end
q.need = math.min(redis.call("ZCARD", P .. "waiting") + redis.call("ZCARD", P .. "delayed"), 1000)
if was then
  event(q, "resumed", cmsgpack.pack({ what, "", "" }))
end
save(q)
return was and 1 or 0
