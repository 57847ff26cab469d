--- Tells whether a waiting job must not start any more: it has an expiry, which is over, and it never started.
-- INCLUDE: has
local function stale(q, id, rec)
  return has(string.byte(rec, 2), 4)
    and struct.unpack(">I8", rec, 25) <= q.ms
    and redis.call("ZSCORE", q.P .. "expiring", id) ~= false
end
