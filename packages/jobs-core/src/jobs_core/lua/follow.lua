--- Makes a flow follow jobs that are there, or have ended and are still told of: as many as tell of 512 KiB, or none where one is not known.
-- PREFIX: P
-- REST: id and edge of each (at most 128)
-- RETURNS: ids that nothing is known of, entries of the outbox, how many are followed (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound homes attach
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local ids, edges, unknown = {}, {}, {}
for i = 1, #ARGV, 2 do
  ids[#ids + 1], edges[#edges + 1] = ARGV[i], ARGV[i + 1]
end
local states = homes(P, ids)
for i = 1, #ids do
  unknown[#unknown + 1] = states[i] == "" and ids[i] or nil
end
local done = 0
if not unknown[1] then
  done = attach(q, ids, edges)
  save(q)
end
return { unknown, rawget(q, "posted") or {}, done }
