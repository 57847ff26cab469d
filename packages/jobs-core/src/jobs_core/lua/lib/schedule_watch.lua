--- Hears that jobs which a schedule sent have ended: those that count from the end of a run plan the next one, those that ask for it
-- are paused by a failure. `sched.watch` exists only for such schedules.
-- INCLUDE: schedule schedule_write schedule_head event
local function schedule_watch(q, ids, state)
  local P, moved = q.P, false
  local watched = redis.call("HMGET", P .. "sched.watch", unpack(ids))
  for i = 1, #ids do
    local id = watched[i]
    if id then
      redis.call("HDEL", P .. "sched.watch", ids[i])
      local s = schedule(redis.call("HGET", P .. "sched.state", id))
      -- A run that another one came after has no say any more.
      if s and s.job == ids[i] and s.status ~= 3 then
        if s.delay > 0 and s.next == 0 then
          s.next = q.ms + s.delay
        end
        if s.halts == 1 and state == "failed" and s.status == 1 then
          s.status = 2
          local why = "its run " .. ids[i] .. " failed"
          redis.call("HSET", P .. "sched.notes", id, string.format("%.0f\n\n%s", q.ms, why))
          event(q, "paused", cmsgpack.pack({ "schedule:" .. id, "", why }))
        end
        -- Its own time is kept: a jitter is part of it.
        local at = redis.call("ZSCORE", P .. "sched", id)
        schedule_write(q, id, s, at and tonumber(at) < 9007199254740991 and tonumber(at) or s.next)
        moved = true
      end
    end
  end
  if moved then
    schedule_head(q)
  end
end
