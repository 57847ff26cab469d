--- Writes what code declares of a queue (offsets, strict, crash budget, retention) by the hash of its definition.
-- What an earlier declaration wrote and this one does not goes; what operators set stays.
-- `off` says what is not to be written down of it: metrics, events, both or nothing ("-": as it is).
-- PREFIX: P
-- ARGV: definition:str off:str
-- REST: field, value pairs of cfg
-- RETURNS: 1 if the declaration changed, 0 if it is the one in force
-- ERRORS: SCHEMA
-- INCLUDE: open save relax
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
if off ~= "-" and off ~= q.off then
  redis.call("HSET", P .. "meta", "off", off)
end
if redis.call("HGET", P .. "cfg", "definition") == definition then
  return 0
end
local fields, names, stays = { "definition", definition }, {}, {}
for i = 3, #ARGV, 2 do
  fields[#fields + 1] = ARGV[i]
  fields[#fields + 1] = ARGV[i + 1]
  names[#names + 1] = ARGV[i]
  stays[ARGV[i]] = true
end
for name in string.gmatch(redis.call("HGET", P .. "cfg", "declared") or "", "[^,]+") do
  if not stays[name] then
    redis.call("HDEL", P .. "cfg", name)
  end
end
fields[#fields + 1] = "declared"
fields[#fields + 1] = table.concat(names, ",")
redis.call("HSET", P .. "cfg", unpack(fields))
relax(q)
save(q)
return 1
