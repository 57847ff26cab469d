--- Lets keys back into the ring whose time has come (at most 128), and looks, where limits or pauses changed, through those
-- parked without one, 128 a call. Returns whether there are more to look through.
-- INCLUDE: rejoin lasts
local function review(q, g)
  local f, P = q.flow, q.P
  rejoin(q, redis.call("ZRANGEBYSCORE", P .. "kparked", "-inf", q.ms, "LIMIT", 0, 128))
  if not g or f.rules == g.rules then
    return false
  end
  local from = tonumber(redis.call("HGET", P .. "meta", "reviewed") or 0)
  local keys, free = redis.call("ZRANGEBYSCORE", P .. "kparked", "inf", "inf", "LIMIT", from, 128), {}
  if keys[1] then
    local runs, names = redis.call("HMGET", P .. "kactive", unpack(keys)), {}
    for i = 1, #keys do
      local key = keys[i]
      names[i] = "pause:key:" .. key
    end
    local held = redis.call("HMGET", P .. "cfg", unpack(names))
    for i = 1, #keys do
      if not lasts(q, held[i]) and tonumber(runs[i] or 0) < (g.key_active or math.huge) then
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
