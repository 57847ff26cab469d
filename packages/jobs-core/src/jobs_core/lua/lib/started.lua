--- Ends what jobs hold only until they first start: their expiry, and unique keys held until=start.
-- INCLUDE: has unique_of
local function started(q, ids, recs)
  local P, expiring, keys, who, free = q.P, {}, {}, {}, {}
  for i = 1, #ids do
    local flags = string.byte(recs[i], 2)
    if flags >= 4 then
      if has(flags, 4) then
        expiring[#expiring + 1] = ids[i]
      end
      if has(flags, 16) then
        local mode, key = unique_of(recs[i])
        if mode == "s" then
          keys[#keys + 1] = key
          who[#who + 1] = ids[i]
        end
      end
    end
  end
  if expiring[1] then
    redis.call("ZREM", P .. "expiring", unpack(expiring))
  end
  local held = keys[1] and redis.call("HMGET", P .. "uniq", unpack(keys)) or {}
  for i = 1, #keys do
    if held[i] == who[i] then
      free[#free + 1] = keys[i]
    end
  end
  if free[1] then
    redis.call("HDEL", P .. "uniq", unpack(free))
    redis.call("ZREM", P .. "uniq.due", unpack(free))
  end
end
