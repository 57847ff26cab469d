--- Binds new jobs to flows: the edges that tell of their ends, and the flow that each waits for. What came before them is heard now.
-- INCLUDE: attach join parts forget_flows
local function bind(q, jobs)
  local P = q.P
  if jobs.edges[1] then
    redis.call("HSET", P .. "follows", unpack(jobs.edges))
  end
  local trash = jobs.joins[1] and redis.call("EXISTS", P .. "trash.joins", P .. "trash.early") > 0
  for i = 1, #jobs.joins, 2 do
    if trash and redis.call("ZREM", P .. "trash.joins", jobs.joins[i]) + redis.call("ZREM", P .. "trash.early", jobs.joins[i]) > 0 then
      -- What one of the same id waited for, before the queue was obliterated.
      forget_flows(q, { jobs.joins[i] }, true)
    end
    join(q, jobs.joins[i], tonumber(jobs.joins[i + 1]))
  end
  if jobs.attached[1] then
    local ids, edges = {}, {}
    for i = 1, #jobs.attached, 2 do
      ids[#ids + 1], edges[#edges + 1] = jobs.attached[i], jobs.attached[i + 1]
    end
    local done = attach(q, ids, edges)
    -- Of those that ended long ago the results may be large: what is too much for one call is looked after in the next ones.
    for i = done + 1, #ids do
      redis.call("RPUSH", P .. "attach", parts({ ids[i], edges[i] }))
    end
    if done < #ids then
      redis.call("ZADD", P .. "flows.due", string.format("%.0f", q.ms), "\1")
    end
  end
end
