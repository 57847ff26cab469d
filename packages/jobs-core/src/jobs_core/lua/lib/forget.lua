--- Removes all that is kept of jobs: history, large envelope, at last the record. An id the caller gave stays known for 24 h.
-- `plain` says that all have flags 0 (ids of our making, no large envelope), `bare` that none has anything but its record,
-- `told` that something is told of them afterwards, and their logs stay as long.
-- INCLUDE: drop_logs forget_flows keep_letters
local function forget(q, ids, plain, bare, told)
  local P = q.P
  if not bare then
    redis.call("HDEL", P .. "state", unpack(ids))
    redis.call("HDEL", P .. "history", unpack(ids))
    redis.call("HDEL", P .. "progress", unpack(ids))
    redis.call("HDEL", P .. "checkpoint", unpack(ids))
    redis.call("HDEL", P .. "follows", unpack(ids))
    if redis.call("ZREM", P .. "joins", unpack(ids)) > 0 then
      forget_flows(q, ids, true)
    end
    if not told then
      drop_logs(q, ids)
    end
  end
  if not plain then
    local bigs, tombs = {}, { "XX" }
    local till = string.format("%.0f", q.ms + 86400000)
    for i = 1, #ids do
      bigs[i] = P .. "big:" .. ids[i]
      tombs[2 * i], tombs[2 * i + 1] = till, ids[i]
    end
    redis.call("UNLINK", unpack(bigs))
    -- An id the caller gave is in `tomb` since it was enqueued; the others are not, and do not enter it here.
    redis.call("ZADD", P .. "tomb", unpack(tombs))
  end
  keep_letters(q, ids, -1)
  redis.call("HDEL", P .. "rec", unpack(ids))
end
