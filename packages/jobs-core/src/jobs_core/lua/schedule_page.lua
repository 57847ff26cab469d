--- Reads schedules in the order of their fires, those that fire no more last.
-- PREFIX: P
-- ARGV: offset:int limit:int
-- RETURNS: as schedule_rows
-- ERRORS: SCHEMA
-- INCLUDE: open schedule_told
-- FLAGS: no-writes
local q = open(P)
if q.err then
  return q
end
return schedule_told(q, redis.call("ZRANGE", P .. "sched", offset, offset + limit - 1))
