--- Tells those who await a flow that it ended. No transition fails for a message.
local function flow_answer(q, id, state)
  local field = "\1" .. id
  local waiters = redis.call("HGET", q.P .. "waiters", field)
  for inbox in string.gmatch(waiters or "", "%S+") do
    redis.pcall("SPUBLISH", q.P .. "inbox:" .. inbox, state .. " " .. field)
  end
  if waiters then
    redis.call("HDEL", q.P .. "waiters", field)
  end
end
