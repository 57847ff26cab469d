--- Sends the fires of a schedule that are due and moves it on: one compare-and-set on the fire that the caller saw as the next.
-- The ids of the jobs follow from schedule and fire, and one that is known is not sent again. `note` says why a fire is put off.
-- PREFIX: P
-- ARGV: schedule_id:str version:int expected_ms:int next_ms:int act_ms:int last_ms:int last_job:str limit:int late:int skipped:int missed:int overlapped:int stops:int note:str
-- REST: groups of jobs as `enqueue` takes them; none where no fire is sent
-- RETURNS: how many were sent, or -1 where somebody else has ticked it
-- ERRORS: SCHEMA, WRONGTYPE, TOO_LARGE, TOO_MANY, BAD_RECORD
-- INCLUDE: open save unsound schedule schedule_write schedule_head admit schedule_send
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local s = schedule(redis.call("HGET", P .. "sched.state", schedule_id))
if not s or s.version ~= version or s.next ~= expected_ms or s.status ~= 1 then
  return -1
end
local jobs = admit(q, ARGV, 15, #ARGV)
if jobs.err then
  return jobs
end
local created, kept, told = 0, 0, {}
if last_job ~= "" then
  created, kept, told = schedule_send(q, schedule_id, s, jobs, last_job, stops == 1)
  s.last = last_ms
end
s.next, s.late, s.skipped, s.missed = next_ms, s.late + late, s.skipped + skipped, s.missed + missed
s.fired, s.overlapped = s.fired + created, s.overlapped + overlapped + kept
if limit > 0 and s.fired >= limit then
  s.next, s.status = 0, 3
  redis.call("HDEL", P .. "sched.watch", s.job)
elseif s.delay > 0 and last_job ~= "" and s.next == 0 and redis.call("HEXISTS", P .. "sched.watch", s.job) == 0 then
  -- Its run is over already.
  s.next = q.ms + s.delay
  act_ms = s.next
end
if note ~= "" then
  redis.call("HSET", P .. "sched.notes", schedule_id, string.format("%.0f\n\n%s", q.ms, note))
elseif last_job ~= "" then
  redis.call("HDEL", P .. "sched.notes", schedule_id)
end
schedule_write(q, schedule_id, s, act_ms)
schedule_head(q, true)
save(q)
for i = 1, #told do
  redis.pcall("SPUBLISH", told[i][1], told[i][2])
end
return created
