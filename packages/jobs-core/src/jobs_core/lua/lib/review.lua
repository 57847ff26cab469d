--- Lets keys back into the ring whose time has come (at most 128), and looks, where limits or pauses changed, through the others,
-- 128 a call: those parked without a time, or for want of tokens. Returns whether there are more to look through.
-- INCLUDE: rejoin lasts
local function review(q, g)
  local f, P = q.flow, q.P
  rejoin(q, redis.call("ZRANGEBYSCORE", P .. "kparked", "-inf", q.ms, "LIMIT", 0, 128))
  if not g or f.rules == g.rules then
    return false
  end
  local from = tonumber(redis.call("HGET", P .. "meta", "reviewed") or 0)
  local found, keys, free = redis.call("ZRANGE", P .. "kparked", from, from + 127, "WITHSCORES"), {}, {}
  for i = 1, #found, 2 do
    keys[#keys + 1] = found[i]
  end
  if keys[1] then
    local runs, names = redis.call("HMGET", P .. "kactive", unpack(keys)), {}
    for i = 1, #keys do
      local key = keys[i]
      names[i] = "pause:key:" .. key
    end
    local held = redis.call("HMGET", P .. "cfg", unpack(names))
    for i = 1, #keys do
      local till = found[2 * i]
      local slot = till == "inf" and not lasts(q, held[i]) and tonumber(runs[i] or 0) < (g.key_active or math.huge)
      if slot or till ~= "inf" and tonumber(till) % 1 > 0 then
        free[#free + 1] = keys[i]
      end
    end
    rejoin(q, free)
  end
  if #keys < 128 then
    f.rules = g.rules
    redis.call("HDEL", P .. "meta", "reviewed")
    return false
  end
  redis.call("HSET", P .. "meta", "reviewed", from + #keys - #free)
  return true
end
