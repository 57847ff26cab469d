--- Lets the pending jobs of unique keys in, when the job before them ended: `heirs` is key, id, … They hold the keys from now on.
-- INCLUDE: record score ready_at to_ready rearm
local function succeed(q, heirs)
  local P, pairs = q.P, {}
  for i = 1, #heirs, 2 do
    local key, id = heirs[i], heirs[i + 1]
    local rec = redis.call("HGET", P .. "rec", id)
    local waits = redis.call("ZSCORE", P .. "joins", id) and not redis.call("HGET", table.concat({ P, "join:", id }), "in")
    if rec and waits and redis.call("ZSCORE", P .. "blocked", id) then
      -- It waits for others still, and holds the key meanwhile.
      redis.call("HSET", P .. "uniq", key, id)
    elseif rec and redis.call("ZREM", P .. "blocked", id) == 1 then
      local _, priority, stamp, due = record(rec)
      redis.call("HSET", P .. "uniq", key, id)
      if due > q.ms then
        redis.call("ZADD", P .. "delayed", due * 16 + priority, id)
        rearm(q, due)
      else
        pairs[#pairs + 1] = score(q, ready_at(stamp, due, 0), priority)
        pairs[#pairs + 1] = id
      end
    else
      redis.call("HDEL", P .. "uniq", key)
    end
    redis.call("HDEL", P .. "uniq.next", key)
  end
  to_ready(q, pairs)
end
