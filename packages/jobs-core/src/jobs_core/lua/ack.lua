--- Takes entries off the outbox that their targets applied.
-- PREFIX: P
-- REST: ids of entries
-- RETURNS: entries that were still there
-- ERRORS: SCHEMA
-- INCLUDE: open
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
local gone = ARGV[1] and redis.call("XDEL", P .. "out", unpack(ARGV)) or 0
if gone > 0 and redis.call("XLEN", P .. "out") == 0 then
  redis.call("UNLINK", P .. "out")
end
return gone
