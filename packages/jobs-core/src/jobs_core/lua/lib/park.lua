--- Parks jobs that no worker so far could run, free of charge, and counts them under their name.
local function park(q, name, ids)
  local pairs, now = {}, string.format("%.0f", q.ms)
  for i = 1, #ids do
    pairs[2 * i - 1], pairs[2 * i] = now, ids[i]
  end
  redis.call("ZADD", q.P .. "unroutable", unpack(pairs))
  redis.call("HINCRBY", q.P .. "unroutable.names", name, #ids)
end
