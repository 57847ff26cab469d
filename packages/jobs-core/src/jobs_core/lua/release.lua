--- Ends an owner that is proven dead, or that stops, and returns its jobs, at most 128 a call; culprits are charged a crash.
-- The `others` are not (0), are too (1), or are suspects from then on (2): any of them may have killed the worker.
-- PREFIX: P
-- ARGV: owner:str others:int
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
local back, poisoned, left = give_back(q, owner, others == 1 and "all" or charged, false, others == 2)
save(q)
return { back, poisoned, left }
