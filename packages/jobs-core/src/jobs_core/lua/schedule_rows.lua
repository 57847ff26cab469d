--- Reads schedules by id.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: now (ms), how many there are, then id, definition, state, note of each that is there; fewer than asked for when they are large
-- ERRORS: SCHEMA
-- INCLUDE: open schedule_told
-- FLAGS: no-writes
local q = open(P)
if q.err then
  return q
end
return schedule_told(q, ARGV)
