--- Keeps in `meta` when the first schedule is due, where every transition reads it, and wakes an owner if that is sooner than its alarm.
-- While more are due, whoever is `at_it` is left alone for a second: so one worker ticks, and another one if that one dies.
-- INCLUDE: rearm
local function schedule_head(q, at_it)
  local head = redis.call("ZRANGE", q.P .. "sched", 0, 0, "WITHSCORES")
  local at = tonumber(head[2] or 0)
  if at == 9007199254740991 then
    at = 0
  end
  local due = at > 0 and at <= q.ms
  if due and at_it then
    at = q.sched > q.ms + 500 and q.sched or q.ms + 1000
  end
  if at ~= q.sched then
    q.fields[#q.fields + 1] = "sched"
    q.fields[#q.fields + 1] = at
    q.sched = at
    if at > 0 and not (due and at_it) then
      rearm(q, at)
    end
  end
end
