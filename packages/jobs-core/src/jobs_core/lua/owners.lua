--- Tells which worker children a queue knows, how long each lease still lasts, and how many jobs each holds.
-- PREFIX: P
-- RETURNS: owner, ms until its lease ends (below 0: over), jobs it holds, 1 if it is held for dead, of each
-- ERRORS: SCHEMA
-- INCLUDE: open
-- FLAGS: no-writes
local q = open(P)
if q.err then
  return q
end
local observed = q.seen > 0 and math.min(math.max(q.ms - q.seen, 0), 5000) or 0
local out = {}
local owners = redis.call("ZRANGE", P .. "owners", 0, -1, "WITHSCORES")
for i = 1, #owners, 2 do
  local deadline = tonumber(owners[i + 1])
  out[#out + 1] = owners[i]
  out[#out + 1] = deadline < 0 and -1 or math.floor(deadline - q.lease - observed)
  out[#out + 1] = redis.call("ZCARD", P .. "active:" .. owners[i])
  out[#out + 1] = deadline < 0 and 1 or 0
end
return out
