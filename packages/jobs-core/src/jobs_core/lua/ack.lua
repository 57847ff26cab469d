--- Takes entries off the outbox that their targets applied.
-- PREFIX: P
-- REST: ids of entries
-- RETURNS: entries that were still there, the oldest one that is left (none: what the next one exceeds), epoch
-- ERRORS: SCHEMA
-- INCLUDE: open
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
local gone = ARGV[1] and redis.call("XDEL", P .. "out", unpack(ARGV)) or 0
local oldest = redis.call("XRANGE", P .. "out", "-", "+", "COUNT", 1)[1]
if gone > 0 and not oldest then
  redis.call("UNLINK", P .. "out")
end
local mark = oldest and string.gsub(oldest[1], "-.*", "") or string.format("%.0f", q.stamp + 1)
return { gone, mark, redis.call("HGET", P .. "meta", "epoch") or "0" }
