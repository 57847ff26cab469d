--- Declares an owner dead whose lease ran out and returns its jobs, at most 128 a call, each charged one crash.
-- PREFIX: P
-- ARGV: owner:str
-- RETURNS: ids given back, ids failed as poison, jobs that remain (call again)
-- ERRORS: SCHEMA, OWNER_ALIVE, WRONGTYPE
-- INCLUDE: open save unsound tick give_back
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
tick(q)
local deadline = tonumber(redis.call("ZSCORE", P .. "owners", owner) or 0)
if deadline > q.lease then
  save(q)
  return redis.error_reply("OWNER_ALIVE " .. owner)
end
local back, poisoned, left = give_back(q, owner, "all", true)
save(q)
return { back, poisoned, left }
