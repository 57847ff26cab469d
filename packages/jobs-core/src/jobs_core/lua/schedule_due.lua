--- Reads schedules that are due, the longest first.
-- PREFIX: P
-- ARGV: limit:int
-- RETURNS: as schedule_rows
-- ERRORS: SCHEMA
-- INCLUDE: open schedule_told
-- FLAGS: no-writes
local q = open(P)
if q.err then
  return q
end
return schedule_told(q, redis.call("ZRANGEBYSCORE", P .. "sched", "-inf", q.ms, "LIMIT", 0, limit))
