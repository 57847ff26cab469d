--- Sends jobs of a schedule out of turn: by hand now, or for a range of the past. Its own turn stays as it is.
-- PREFIX: P
-- ARGV: schedule_id:str version:int last_job:str stops:int
-- REST: groups of jobs as `enqueue` takes them
-- RETURNS: one character a job as of `enqueue`, with a newline and the id that stands for it where it has none of its own; nothing where the schedule was changed meanwhile
-- ERRORS: SCHEMA, WRONGTYPE, TOO_LARGE, TOO_MANY, BAD_RECORD
-- INCLUDE: open save unsound schedule schedule_write admit enter stop verdicts schedule_sent count_added call_out
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
local told = {}
if stops == 1 and s.job ~= "" then
  local _, messages = stop(q, { s.job })
  told = messages
end
enter(q, jobs)
local signs, others = verdicts(jobs.verdict)
schedule_sent(q, schedule_id, s, signs, others, last_job)
local at = redis.call("ZSCORE", P .. "sched", schedule_id)
schedule_write(q, schedule_id, s, tonumber(at or 0))
save(q)
count_added(q, jobs)
call_out(told)
return jobs.verdict
