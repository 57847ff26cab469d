--- Renews the leases of a supervisor's owners: one ZADD for all of them, however many jobs they run.
-- PREFIX: P
-- ARGV: lease_ms:int
-- REST: owners
-- RETURNS: owners that are gone, owners whose lease ran out (to be reaped)
-- ERRORS: SCHEMA
-- INCLUDE: open save tick
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
tick(q)
local gone, renewed = {}, {}
local deadlines = ARGV[2] and redis.call("ZMSCORE", P .. "owners", unpack(ARGV, 2)) or {}
local till = string.format("%.0f", q.lease + lease_ms)
for i = 2, #ARGV do
  local deadline = deadlines[i - 1]
  if deadline and tonumber(deadline) >= 0 then
    renewed[#renewed + 1] = till
    renewed[#renewed + 1] = ARGV[i]
  else
    gone[#gone + 1] = ARGV[i]
  end
end
if renewed[1] then
  redis.call("ZADD", P .. "owners", unpack(renewed))
end
-- An owner at -1 is dead already, and whoever reaped it did not come to the end of its jobs.
local silent = redis.call("ZRANGEBYSCORE", P .. "owners", -1, q.lease, "LIMIT", 0, 16)
save(q)
return { gone, silent }
