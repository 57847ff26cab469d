--- Removes a schedule, and unless that is to be kept the job that it sent last, if that has not started.
-- PREFIX: P
-- ARGV: schedule_id:str keep_job:int
-- RETURNS: 1 removed, 2 removed with the job, 0 not known
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound schedule schedule_head homes let_go take_out event
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local s = schedule(redis.call("HGET", P .. "sched.state", schedule_id))
if not s then
  return 0
end
local verdict, waits = 1, { waiting = true, delayed = true, unroutable = true, blocked = true }
if s.job ~= "" and keep_job == 0 then
  local state = homes(P, { s.job })[1]
  if waits[state] then
    let_go(q, { s.job }, false)
    take_out(q, state, { s.job })
    verdict = 2
  end
end
redis.call("HDEL", P .. "sched.watch", s.job)
redis.call("ZREM", P .. "sched", schedule_id)
redis.call("HDEL", P .. "sched.rows", schedule_id)
redis.call("HDEL", P .. "sched.state", schedule_id)
redis.call("HDEL", P .. "sched.notes", schedule_id)
schedule_head(q)
event(q, "unscheduled", schedule_id)
save(q)
return verdict
