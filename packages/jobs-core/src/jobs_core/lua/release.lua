--- Ends an owner that is proven dead, or that stops, and returns its jobs, at most 128 a call; only the culprits are charged a crash.
-- PREFIX: P
-- ARGV: owner:str charge_all:int
-- REST: ids of culprits
-- RETURNS: ids given back, ids failed as poison, jobs that remain (call again)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound give_back
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local charged = {}
for i = 3, #ARGV do
  charged[ARGV[i]] = true
end
local back, poisoned, left = give_back(q, owner, charge_all == 1 and "all" or charged)
save(q)
return { back, poisoned, left }
