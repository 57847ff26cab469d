--- Adds jobs: each lands in `waiting`, or in `delayed` until it is due. All of a call are added in one step.
-- Jobs that are alike in all but id, lengths and content stand behind one another as a group, so that what they share is read once.
-- PREFIX: P
-- ARGV: session:str seq:int
-- REST: groups: count, version with flags and priority (4 bytes), name@version, delay_ms, run_at_ms, options ("" or k=v,…); then id and record from byte 21 on of each
-- RETURNS: one character a job (1 created, 0 its id was known, s skipped, r replaced, e extended, k kept as the pending one, x a conflict that is an error, f the queue is full), then for each s r e k x a newline and the id that stands for it
-- ERRORS: SCHEMA, STALE, TOO_LARGE, TOO_MANY, BAD_RECORD
-- INCLUDE: open save session remember admit enter count_added
local q = open(P, session)
if q.err then
  return q
end
local known, err = session_verdict(q, session, seq)
if known or err then
  return known or err
end
-- First everything is read and checked: no error may find half of the jobs written.
local jobs = admit(q, ARGV, 3, #ARGV, true)
if jobs.err then
  return jobs
end
remember(q, session, seq, jobs.verdict)
enter(q, jobs)
save(q)
count_added(q, jobs)
return jobs.verdict
