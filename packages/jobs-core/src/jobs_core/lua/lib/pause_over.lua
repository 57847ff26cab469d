--- Tells that the pause of a queue has ended by itself: without that it goes on as well, so whoever comes first does.
-- INCLUDE: event
local function pause_over(q)
  if q.over then
    redis.call("HDEL", q.P .. "cfg", "paused", "pause_actor", "pause_reason", "paused_until")
    q.over = false
    event(q, "resumed", cmsgpack.pack({ "", "", "its time was over" }))
  end
end
