--- Resumes a paused schedule from a fire on that the caller worked out of it as he saw it (its version and its next fire).
-- PREFIX: P
-- ARGV: schedule_id:str version:int expected_ms:int next_ms:int act_ms:int
-- RETURNS: 1 resumed, 0 it was not paused, -1 not known, -2 it was changed meanwhile
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound schedule schedule_write schedule_head event
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local s = schedule(redis.call("HGET", P .. "sched.state", schedule_id))
if not s then
  return -1
elseif s.status ~= 2 then
  return 0
elseif s.version ~= version or s.next ~= expected_ms then
  return -2
end
s.next, s.status = next_ms, 1
redis.call("HDEL", P .. "sched.notes", schedule_id)
schedule_write(q, schedule_id, s, act_ms)
schedule_head(q)
event(q, "resumed", cmsgpack.pack({ "schedule:" .. schedule_id, "", "" }))
save(q)
return 1
