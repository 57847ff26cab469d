--- The only door into `waiting`: adds {score, id, …} pairs. Saving the queue wakes idle owners for them.
local function to_ready(q, pairs)
  local n = #pairs
  for i = 1, n, 1000 do
    redis.call("ZADD", q.P .. "waiting", unpack(pairs, i, math.min(i + 999, n)))
  end
  q.need = q.need + n / 2
end
