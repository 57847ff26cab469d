--- Pauses a schedule, with who did and why; what it would have sent meanwhile is not made up for.
-- PREFIX: P
-- ARGV: schedule_id:str actor:str reason:str
-- RETURNS: 1 paused, 0 it was paused already, -1 not known, -2 it has ended
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound schedule schedule_write schedule_head event
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local s = schedule(redis.call("HGET", P .. "sched.state", schedule_id))
if not s or s.status == 3 then
  return s and -2 or -1
end
local was = s.status
s.status = 2
-- Pausing what is paused already changes the reason, where one is given.
if was == 1 or reason ~= "" then
  redis.call("HSET", P .. "sched.notes", schedule_id, string.format("%.0f\n%s\n%s", q.ms, actor, reason))
end
schedule_write(q, schedule_id, s, 0)
schedule_head(q)
if was == 1 then
  event(q, "paused", cmsgpack.pack({ "schedule:" .. schedule_id, actor, reason }))
end
save(q)
return was == 1 and 1 or 0
