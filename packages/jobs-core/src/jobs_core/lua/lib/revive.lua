--- Puts a failed job back into `waiting` with fresh budgets; the attempt that ended it joins its history. `rec` is its record from now on, which the caller writes.
-- Returns the effect that clears its dead letter. That this life of it was replayed is remembered for 24 h: a second replay is refused.
-- INCLUDE: record_attempt score to_ready weight parts
local function revive(q, id, failed_ms, priority, rec)
  local P = q.P
  local bytes, info = weight(P, { id })[1], redis.call("HGET", P .. "result", id)
  to_ready(q, { score(q, q.ms * 1000, priority), id }, { rec })
  redis.call("HSET", P .. "state", id, struct.pack(">I4I4I4BI8", 0, 0, 0, 0, q.ms))
  redis.call("HDEL", P .. "result", id)
  -- What the ends of others decided has been done.
  redis.call("HDEL", table.concat({ P, "join:", id }), "verdict", "why")
  redis.call("ZREM", P .. "result.due", id)
  redis.call("ZREM", P .. "failed", id)
  redis.call("HINCRBY", P .. "meta", "bytes:failed", 0 - bytes)
  if info then
    record_attempt(P, id, info, true)
  end
  redis.call("HINCRBY", P .. "stats", "replayed", 1)
  local life = string.format("%.0f", failed_ms)
  redis.call("ZADD", P .. "tomb", q.ms + 86400000, table.concat({ "\1", id, " ", life }))
  return parts({ id, life })
end
