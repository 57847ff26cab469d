--- Lets parked keys back into the ring, at its end, those of them that have waiting jobs.
local function rejoin(q, keys)
  if not keys[1] then
    return
  end
  local turns = { "NX" }
  for i = 1, #keys do
    local key = keys[i]
    if redis.call("EXISTS", q.P .. "k:" .. key) == 1 then
      turns[#turns + 1], turns[#turns + 2] = q.flow.turn + 10000, key
    end
  end
  if turns[2] then
    redis.call("ZADD", q.P .. "ring", unpack(turns))
  end
  redis.call("ZREM", q.P .. "kparked", unpack(keys))
end
