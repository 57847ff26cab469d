--- Removes finished jobs older than an age from one final home, at most `limit` (500, or 32 MiB) a call, oldest first.
-- PREFIX: P
-- ARGV: home:str age_ms:int limit:int
-- RETURNS: jobs removed
-- ERRORS: SCHEMA, BAD_HOME, WRONGTYPE
-- INCLUDE: open save unsound drop
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
if home ~= "completed" and home ~= "failed" and home ~= "cancelled" and home ~= "expired" then
  return redis.error_reply("BAD_HOME " .. home)
end
local ids = redis.call("ZRANGEBYSCORE", P .. home, "-inf", q.ms - age_ms, "LIMIT", 0, math.max(math.min(limit, 500), 0))
local removed = 0
if ids[1] then
  removed = select(2, drop(q, home, ids))
end
save(q)
return removed
