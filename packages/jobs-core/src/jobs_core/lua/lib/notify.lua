--- Tells those who await jobs that they ended; `waiters` exists only while somebody awaits. No transition fails for a message.
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
end
