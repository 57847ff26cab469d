--- Writes one entry into the outbox: effects for another queue, as pairs of kind and content, which no script looks into.
-- Its id is a stamp, so it grows from entry to entry. The ids of a call are gathered in `posted`, for whoever relays them.
local function post(q, target, effects)
  q.stamp = math.max(q.stamp + 1, q.now)
  local id = string.format("%.0f", q.stamp)
  redis.call("XADD", q.P .. "out", id .. "-0", "to", target, unpack(effects))
  local posted = rawget(q, "posted") or {}
  posted[#posted + 1] = id
  q.posted = posted
end
