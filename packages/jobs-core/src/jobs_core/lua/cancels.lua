--- Tells which deliveries somebody asked to stop: what a worker looks at in case it did not hear of it.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: for each: the fence (us) of the delivery that is to stop, empty: none
-- FLAGS: no-writes
local fences = ARGV[1] and redis.call("HMGET", P .. "cancels", unpack(ARGV)) or {}
for i = 1, #ARGV do
  fences[i] = fences[i] or ""
end
return fences
