--- Sends jobs of a schedule out of turn: by hand now, or for a range of the past. Its own turn stays as it is.
-- PREFIX: P
-- ARGV: schedule_id:str version:int last_job:str stops:int
-- REST: groups of jobs as `enqueue` takes them
-- RETURNS: one character a job as of `enqueue`, with a newline and the id that stands for it where it has none of its own; nothing where the schedule was changed meanwhile
-- ERRORS: SCHEMA, WRONGTYPE, TOO_LARGE, TOO_MANY, BAD_RECORD
-- INCLUDE: open save unsound schedule schedule_write admit schedule_send
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local s = schedule(redis.call("HGET", P .. "sched.state", schedule_id))
if not s or s.version ~= version then
  return nil
end
local jobs = admit(q, ARGV, 5, #ARGV)
if jobs.err then
  return jobs
end
local _, _, told = schedule_send(q, schedule_id, s, jobs, last_job, stops == 1)
local at = redis.call("ZSCORE", P .. "sched", schedule_id)
schedule_write(q, schedule_id, s, tonumber(at or 0))
save(q)
for i = 1, #told do
  redis.pcall("SPUBLISH", told[i][1], told[i][2])
end
return jobs.verdict
