--- Walks a hash or a sorted set of a queue, some members a call, and names them without their values.
-- The server reads values, too: the larger those were that it read, the fewer it reads next.
-- PREFIX: P
-- ARGV: key:str cursor:str count:int
-- REST: "strays" to name only those that are ids without a record
-- RETURNS: cursor to go on with ("0": the end), members, at most about `count` and 512 KiB of values a call
-- FLAGS: no-writes
local kind = redis.call("TYPE", P .. key).ok
if kind ~= "hash" and kind ~= "zset" then
  return { "0", {} }
end
local at, few = string.match(cursor, "^(%d+):?(%d*)$")
few = kind == "zset" and count or math.min(count, tonumber(few) or 8)
local found = redis.call(kind == "hash" and "HSCAN" or "ZSCAN", P .. key, at, "COUNT", few)
local members, bytes = {}, 1
for i = 1, #found[2], 2 do
  local member = found[2][i]
  bytes = bytes + #found[2][i + 1]
  if ARGV[4] ~= "strays" or redis.call("HEXISTS", P .. "rec", member) == 0 then
    members[#members + 1] = member
  end
end
if found[1] ~= "0" then
  few = math.max(8, math.min(count, 524288 * #found[2] / 2 / bytes))
  found[1] = string.format("%s:%.0f", found[1], few)
end
return { found[1], members }
