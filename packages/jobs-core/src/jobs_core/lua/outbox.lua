--- Reads entries of a queue's outbox: the named ones, or those of a certain age behind `after`, the oldest first; at most 128 or 512 KiB.
-- PREFIX: P
-- ARGV: after:int age_ms:int
-- REST: ids of entries (none: by age)
-- RETURNS: epoch, and of each entry: id, then what was written of it
-- ERRORS: SCHEMA
-- INCLUDE: open
-- FLAGS: no-writes
local q = open(P)
if q.err then
  return q
end
local key = P .. "out"
local out, bytes = {}, 0
local function take(entry)
  local row = { (string.gsub(entry[1], "-.*", "")) }
  for i = 1, #entry[2] do
    row[i + 1] = entry[2][i]
    bytes = bytes + #entry[2][i]
  end
  out[#out + 1] = row
end
if ARGV[3] then
  for i = 3, #ARGV do
    local entry = redis.call("XRANGE", key, ARGV[i], ARGV[i])[1]
    if entry and bytes < 524288 then
      take(entry)
    end
  end
else
  -- A stamp may be ahead of the time.
  local from, till = string.format("%.0f", after + 1), age_ms > 0 and string.format("%.0f", q.now - age_ms * 1000) or "+"
  while #out < 128 and bytes < 524288 do
    local entry = redis.call("XRANGE", key, from, till, "COUNT", 1)[1]
    if not entry then
      break
    end
    take(entry)
    from = string.gsub(entry[1], "-.*", "") + 1
    from = string.format("%.0f", from)
  end
end
return { redis.call("HGET", P .. "meta", "epoch") or "0", out }
