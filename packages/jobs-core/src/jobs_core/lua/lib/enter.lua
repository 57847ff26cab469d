--- Writes the jobs that `admit` let in. Their totals are the caller's to count, and the queue is to be saved.
-- INCLUDE: to_ready rearm amend drop_logs event series bind keep_letters
local function enter(q, jobs)
  local P, more = q.P, jobs.more
  if not jobs.recs[1] and not more then
    bind(q, jobs)
    return
  end
  if jobs.fresh[1] then
    -- What was told of an earlier job of the same id ends with it.
    if redis.call("HDEL", P .. "result", unpack(jobs.fresh)) > 0 then
      drop_logs(q, jobs.fresh)
    end
    redis.call("ZREM", P .. "result.due", unpack(jobs.fresh))
  end
  if more and more.leaving[1] then
    leave(q, more.leaving, more.records)
  end
  if more and more.lifted[1] then
    leave(q, more.lifted, nil, true)
  end
  local heads
  if q.flow and q.flow.index % 3 ~= 0 then
    local of = {}
    heads = {}
    for i = 1, #jobs.recs, 2 do
      of[jobs.recs[i]] = jobs.recs[i + 1]
    end
    for i = 2, #jobs.ready, 2 do
      local id = jobs.ready[i]
      heads[i / 2] = of[id] or redis.call("HGET", P .. "rec", id)
    end
  end
  to_ready(q, jobs.ready, heads)
  if jobs.delayed[1] then
    redis.call("ZADD", P .. "delayed", unpack(jobs.delayed))
    rearm(q, jobs.first_due)
  end
  if jobs.recs[1] then
    keep_letters(q, jobs.recs, 1, 2)
    redis.call("HSET", P .. "rec", unpack(jobs.recs))
  end
  if jobs.bigs[1] then
    redis.call("MSET", unpack(jobs.bigs))
  end
  if jobs.alive[1] then
    redis.call("ZADD", P .. "tomb", unpack(jobs.alive))
  end
  if more then
    amend(q, more)
  end
  q.stamp = jobs.stamp
  for i = 1, #jobs.told do
    event(q, "added", jobs.told[i])
  end
  local added = 0
  for _, n in pairs(jobs.added) do
    added = added + n
  end
  series(q, added, 0, 0, 0, 0, 0)
  bind(q, jobs)
end
