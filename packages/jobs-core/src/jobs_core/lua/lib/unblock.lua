--- Lets a job in that waited for others: it is ready from now on, or delayed where it is to run later still. One that waits behind the
-- job with its unique key besides goes on doing that. Returns false where it is not blocked any more.
-- INCLUDE: record history score to_ready rearm has unique_of
local function unblock(q, id)
  local P = q.P
  local rec = redis.call("HGET", P .. "rec", id)
  if not rec or not redis.call("ZSCORE", P .. "blocked", id) then
    return false
  end
  local flags, priority, _, due = record(rec)
  if has(flags, 16) and redis.call("HGET", P .. "uniq.next", (select(2, unique_of(rec)))) == id then
    redis.call("HSET", table.concat({ P, "join:", id }), "in", 1)
    return true
  end
  local attempts, crashes, releases, cancel = history(redis.call("HGET", P .. "state", id))
  local again = math.max(q.ms, due)
  redis.call("HSET", P .. "state", id, struct.pack(">I4I4I4BI8", attempts, crashes, releases, cancel, again))
  -- The new home comes before the old one is left.
  if due > q.ms then
    redis.call("ZADD", P .. "delayed", string.format("%.0f", due * 16 + priority), id)
    rearm(q, due)
  else
    to_ready(q, { score(q, again * 1000, priority), id }, { rec })
  end
  redis.call("ZREM", P .. "blocked", id)
  return true
end
