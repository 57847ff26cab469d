--- Walks a hash or a sorted set of a queue, some members a call, and names them without their values.
-- PREFIX: P
-- ARGV: key:str cursor:str count:int
-- REST: "strays" to name only those that are ids without a record
-- RETURNS: cursor to go on with ("0": the end), members
-- FLAGS: no-writes
local kind = redis.call("TYPE", P .. key).ok
if kind ~= "hash" and kind ~= "zset" then
  return { "0", {} }
end
local found = redis.call(kind == "hash" and "HSCAN" or "ZSCAN", P .. key, cursor, "COUNT", count)
local members = {}
for i = 1, #found[2], 2 do
  local member = found[2][i]
  if ARGV[4] ~= "strays" or redis.call("HEXISTS", P .. "rec", member) == 0 then
    members[#members + 1] = member
  end
end
return { found[1], members }
