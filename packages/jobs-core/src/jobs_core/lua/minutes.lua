--- Reads parts of the minutes of queues without changing anything.
-- KEYS: prefixes
-- REST: day, first byte and last byte of each part
-- RETURNS: for each queue: the parts; one ends where nothing behind was written
-- FLAGS: no-writes
local out = {}
for i = 1, #KEYS do
  local P, parts = KEYS[i], {}
  for j = 1, #ARGV, 3 do
    parts[#parts + 1] = redis.call("GETRANGE", P .. "series:" .. ARGV[j], ARGV[j + 1], ARGV[j + 2])
  end
  out[i] = parts
end
return out
