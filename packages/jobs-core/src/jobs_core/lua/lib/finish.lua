--- The only door to a final state. `infos` are what is told of the jobs afterwards (opaque), kept for ttl_ms or with the job.
-- keep = {count, age_ms, bytes}; count 0 removes the jobs at once, -2 leaves it to the queue. The caller takes them out of their home.
-- INCLUDE: notify forget retain keeps let_go bury follow disown
local function finish(q, state, ids, infos, keep, ttl_ms, plain)
  local P = q.P
  if state == "failed" and q.letters then
    bury(q, ids, infos)
  end
  if keep[1] == -2 then
    keep = keeps(q, state)
  end
  local kept = keep[1] ~= 0
  if not plain then
    let_go(q, ids, state == "completed" or state == "failed")
  end
  if kept or ttl_ms > 0 then
    local fields, due = {}, {}
    local till = string.format("%.0f", q.ms + ttl_ms)
    for i = 1, #ids do
      fields[2 * i - 1], fields[2 * i] = ids[i], infos[i]
      due[2 * i - 1], due[2 * i] = till, ids[i]
    end
    redis.call("HSET", P .. "result", unpack(fields))
    if not kept then
      redis.call("ZADD", P .. "result.due", unpack(due))
    end
  end
  -- Few queues hold more of their jobs than records: one look tells.
  local sides = { P .. "waiters", P .. "state", P .. "history", P .. "progress", P .. "checkpoint", P .. "cancels", P .. "logs" }
  sides[8], sides[9], sides[10] = P .. "sched.watch", P .. "follows", P .. "joins"
  local bare = redis.call("EXISTS", unpack(sides)) == 0
  if not bare then
    notify(q, ids, state)
    follow(q, ids, state, infos)
    if state == "cancelled" then
      disown(q, ids)
    end
    redis.call("HDEL", P .. "cancels", unpack(ids))
  end
  if kept then
    if not bare then
      redis.call("HDEL", P .. "progress", unpack(ids))
      redis.call("HDEL", P .. "checkpoint", unpack(ids))
    end
    retain(q, state, ids, infos, keep, plain, bare)
  else
    forget(q, ids, plain, bare, ttl_ms > 0)
  end
end
