--- Counts jobs out of those that are parked, by name; a name without any leaves the list.
local function unpark(q, counts)
  for name, n in pairs(counts) do
    if redis.call("HINCRBY", q.P .. "unroutable.names", name, -n) <= 0 then
      redis.call("HDEL", q.P .. "unroutable.names", name)
    end
  end
end
