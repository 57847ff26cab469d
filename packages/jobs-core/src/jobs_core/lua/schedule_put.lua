--- Writes a schedule: a new one (version 0), or another definition of one as the caller saw it (its version and its next fire).
-- A paused one stays paused, what was counted stays.
-- PREFIX: P
-- ARGV: schedule_id:str version:int expected_ms:int definition:str since_ms:int next_ms:int act_ms:int delay_ms:int halts:int
-- RETURNS: the version that it has now; 0 where it was ticked or written meanwhile
-- ERRORS: SCHEMA, WRONGTYPE, TOO_LARGE
-- INCLUDE: open save unsound schedule schedule_write schedule_head event
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
if #definition > 1310720 then
  return redis.error_reply("TOO_LARGE " .. schedule_id)
end
local s = schedule(redis.call("HGET", P .. "sched.state", schedule_id))
if (s and s.version or 0) ~= version or s and s.next ~= expected_ms then
  return 0
end
s = s or { fired = 0, last = 0, late = 0, skipped = 0, missed = 0, overlapped = 0, status = 1, job = "" }
s.version, s.since, s.next, s.delay, s.halts = version + 1, since_ms, next_ms, delay_ms, halts
if s.status == 3 then
  s.status = 1
end
redis.call("HSET", P .. "sched.rows", schedule_id, definition)
schedule_write(q, schedule_id, s, act_ms)
schedule_head(q)
event(q, "scheduled", schedule_id)
save(q)
return s.version
