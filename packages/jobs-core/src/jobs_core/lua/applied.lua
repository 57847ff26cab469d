--- Tells which entries of another queue's outbox were applied here, and still are: a server that lost writes may know one no more.
-- PREFIX: P
-- ARGV: source:str epoch:str
-- REST: of each: entry, in how many parts it comes
-- RETURNS: one character an entry: 1 applied, 0 not, or not in all parts
-- FLAGS: no-writes
local origin = table.concat({ source, ":", epoch })
local low = tonumber(redis.call("HGET", P .. "inlow", origin) or 0)
local verdicts, names = {}, {}
for i = 3, #ARGV, 2 do
  names[#names + 1] = ARGV[i]
end
local scores = names[1] and redis.call("ZMSCORE", P .. "in:" .. origin, unpack(names)) or {}
for i = 1, #names do
  local parts, entry = tonumber(ARGV[2 * i + 2]), names[i]
  local whole = scores[i]
  if whole and parts > 1 then
    whole = redis.call("ZCOUNT", P .. "in:" .. origin, entry, entry) >= parts
  end
  verdicts[i] = (whole or tonumber(entry) < low) and "1" or "0"
end
return table.concat(verdicts)
