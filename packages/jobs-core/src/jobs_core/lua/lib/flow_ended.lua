--- Ends a flow that has no job of its own, where all it follows has ended and nothing more can come; one that had failed, and whose last
-- failure was mended, completes after all.
-- INCLUDE: fire flow_answer
local function flow_ended(q, id)
  local P = q.P
  local key = P .. "flow:" .. id
  local f = redis.call("HMGET", key, "state", "n", "resolved", "bad", "abandoned")
  local state, bad, all = f[1], tonumber(f[4] or 0), tonumber(f[2]) == tonumber(f[3] or 0)
  -- One that was obliterated is not among the flows any more. Its state comes last: what fails midway is done again.
  if state == "running" and all and redis.call("ZSCORE", P .. "flows", id) then
    local new, now = bad > 0 and "failed" or "completed", string.format("%.0f", q.ms)
    redis.call("ZADD", P .. "flows.ended", now, id)
    redis.call("ZREM", P .. "flows.due", id)
    fire(q, id, "complete")
    if bad == 0 then
      fire(q, id, "success")
    end
    redis.call("ZREM", P .. "flows", id)
    redis.call("HSET", key, "state", new, "ended", now)
    flow_answer(q, id, new)
  elseif state == "failed" and bad == 0 and all and not f[5] then
    fire(q, id, "success")
    redis.call("HSET", key, "state", "completed")
  end
end
