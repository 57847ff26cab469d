--- Tells those who await jobs that they ended, and the schedules that count on it. Both keys exist only while somebody does.
-- No transition fails for a message.
-- INCLUDE: schedule_watch
local function notify(q, ids, state)
  local waiters = redis.call("HMGET", q.P .. "waiters", unpack(ids))
  for i = 1, #ids do
    if waiters[i] then
      for inbox in string.gmatch(waiters[i], "%S+") do
        redis.pcall("SPUBLISH", q.P .. "inbox:" .. inbox, state .. " " .. ids[i])
      end
      redis.call("HDEL", q.P .. "waiters", ids[i])
    end
  end
  if redis.call("EXISTS", q.P .. "sched.watch") == 1 then
    schedule_watch(q, ids, state)
  end
end
