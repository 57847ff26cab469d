--- Reads lines of a job's log, the oldest first.
-- PREFIX: P
-- ARGV: id:str after:str count:int
-- RETURNS: lines kept, lines dropped, then cursor and line of each after `after` ("": from the first on)
-- FLAGS: no-writes
local kept = redis.call("HGET", P .. "logs", id)
local lines, gone, _ = 0, 0, nil
if kept then
  lines, _, gone = struct.unpack(">I4I4I4", kept)
end
local out = { lines, gone }
local found = redis.call("XRANGE", P .. "log:" .. id, after == "" and "-" or "(" .. after, "+", "COUNT", count)
for i = 1, #found do
  out[#out + 1] = found[i][1]
  out[#out + 1] = found[i][2][2]
end
return out
