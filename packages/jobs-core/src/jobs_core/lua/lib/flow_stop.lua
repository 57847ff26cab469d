--- Ends a flow before what it follows has ended: cancelled, or failed because nobody filled it any more. What was kept back is not sent
-- any more. No callback comes of a flow that somebody cancelled, whatever its jobs do; one that was left behind fails, for good.
-- INCLUDE: fire flow_answer flow_keys
local function flow_stop(q, id, state)
  local P = q.P
  local keys, now = flow_keys(P, id), string.format("%.0f", q.ms)
  redis.call("HSET", keys.flow, "state", state, "ended", now)
  redis.call("UNLINK", keys.staged, keys.chunks)
  redis.call("ZREM", P .. "flows", id)
  redis.call("ZREM", P .. "flows.due", id)
  redis.call("ZADD", P .. "flows.ended", now, id)
  if state == "failed" then
    redis.call("HSET", keys.flow, "abandoned", 1)
    fire(q, id, "failure")
    fire(q, id, "complete")
  end
  redis.call("HDEL", keys.flow, "on:success", "on:failure", "on:complete")
  flow_answer(q, id, state)
end
