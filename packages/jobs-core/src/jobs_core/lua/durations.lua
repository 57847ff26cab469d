--- Reads the histograms of queues without changing anything.
-- KEYS: prefixes
-- RETURNS: for each queue: names@version, the one measured first first, and the histograms of each
-- FLAGS: no-writes
local out = {}
for i = 1, #KEYS do
  local P = KEYS[i]
  local names, keys = redis.call("ZRANGE", P .. "hist.names", 0, -1), {}
  for j = 1, #names do
    keys[j] = P .. "hist:" .. names[j]
  end
  out[i] = { names, keys[1] and redis.call("MGET", unpack(keys)) or {} }
end
return out
