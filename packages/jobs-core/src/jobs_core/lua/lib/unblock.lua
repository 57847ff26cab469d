--- Lets a job in that waited for others: it is ready from now on, or delayed where it is to run later still.
-- Returns false where it is not blocked any more.
-- INCLUDE: record history score to_ready rearm
local function unblock(q, id)
  local P = q.P
  local rec = redis.call("HGET", P .. "rec", id)
  if not rec or redis.call("ZREM", P .. "blocked", id) == 0 then
    return false
  end
  local _, priority, _, due = record(rec)
  local attempts, crashes, releases, cancel = history(redis.call("HGET", P .. "state", id))
  local again = math.max(q.ms, due)
  redis.call("HSET", P .. "state", id, struct.pack(">I4I4I4BI8", attempts, crashes, releases, cancel, again))
  if due > q.ms then
    redis.call("ZADD", P .. "delayed", string.format("%.0f", due * 16 + priority), id)
    rearm(q, due)
  else
    to_ready(q, { score(q, again * 1000, priority), id }, { rec })
  end
  return true
end
