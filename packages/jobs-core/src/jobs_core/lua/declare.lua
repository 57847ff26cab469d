--- Writes what code declares of a queue (offsets, strict, crash budget) by the hash of its definition; an operator's overrides stay.
-- PREFIX: P
-- ARGV: definition:str
-- REST: field, value pairs of cfg
-- RETURNS: 1 if the declaration changed, 0 if it is the one in force
-- ERRORS: SCHEMA
-- INCLUDE: open save
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
if redis.call("HGET", P .. "cfg", "definition") == definition then
  return 0
end
local fields = { "definition", definition }
for i = 2, #ARGV, 2 do
  fields[#fields + 1] = ARGV[i]
  fields[#fields + 1] = ARGV[i + 1]
end
redis.call("HSET", P .. "cfg", unpack(fields))
save(q)
return 1
