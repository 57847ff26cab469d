--- Ends a flow that has no job of its own, where all it follows has ended and nothing more can come; one that had failed, and whose last
-- failure was mended, ends anew.
-- INCLUDE: fire flow_answer
local function flow_ended(q, id)
  local P = q.P
  local key = P .. "flow:" .. id
  local f = redis.call("HMGET", key, "state", "n", "resolved", "bad")
  local state, bad = f[1], tonumber(f[4] or 0)
  if state == "running" and tonumber(f[2]) == tonumber(f[3] or 0) then
    local new, now = bad > 0 and "failed" or "completed", string.format("%.0f", q.ms)
    redis.call("HSET", key, "state", new, "ended", now)
    redis.call("ZREM", P .. "flows", id)
    redis.call("ZADD", P .. "flows.ended", now, id)
    redis.call("ZREM", P .. "flows.due", id)
    fire(q, id, "complete")
    if bad == 0 then
      fire(q, id, "success")
    end
    flow_answer(q, id, new)
  elseif state == "failed" and bad == 0 and tonumber(f[2]) == tonumber(f[3] or 0) then
    redis.call("HSET", key, "state", "completed")
    fire(q, id, "success")
  end
end
