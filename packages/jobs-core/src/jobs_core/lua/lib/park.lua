--- Parks jobs that no worker so far could run, free of charge, and counts them under their name; one that was to stop is cancelled. Returns the ids of those.
-- INCLUDE: call_off
local function park(q, name, ids)
  local pairs, now, ended = {}, string.format("%.0f", q.ms), {}
  local asked = redis.call("HMGET", q.P .. "cancels", unpack(ids))
  for i = 1, #ids do
    if asked[i] then
      ended[#ended + 1] = ids[i]
    else
      pairs[#pairs + 1] = now
      pairs[#pairs + 1] = ids[i]
    end
  end
  if ended[1] then
    call_off(q, ended, redis.call("HMGET", q.P .. "rec", unpack(ended)))
  end
  if pairs[1] then
    redis.call("ZADD", q.P .. "unroutable", unpack(pairs))
    redis.call("HINCRBY", q.P .. "unroutable.names", name, #pairs / 2)
  end
  return ended
end
