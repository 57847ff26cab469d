--- Binds new jobs to flows: the edges that tell of their ends, and the flow that each waits for. What came before them is heard now.
-- INCLUDE: attach resolve
local function bind(q, jobs)
  local P = q.P
  if jobs.edges[1] then
    redis.call("HSET", P .. "follows", unpack(jobs.edges))
  end
  for i = 1, #jobs.joins, 2 do
    local id, n = jobs.joins[i], jobs.joins[i + 1]
    redis.call("ZADD", P .. "joins", string.format("%.0f", q.ms), id)
    redis.call("HSET", P .. "flow:" .. id, "kind", "j", "n", n)
    local early, edges, at = redis.call("HGET", P .. "early", id), {}, 1
    while early and at < #early do
      local ordinal, mode, sign, short, size = struct.unpack(">I4c1c1I2I4", early, at)
      at = at + 12
      local who, told = string.sub(early, at, at + short - 1), string.sub(early, at + short, at + short + size - 1)
      edges[#edges + 1] = { ordinal, mode, sign, who, told }
      at = at + short + size
    end
    if early then
      redis.call("HDEL", P .. "early", id)
      redis.call("ZREM", P .. "early.due", id)
      resolve(q, id, edges)
    end
  end
  if jobs.attached[1] then
    local ids, edges = {}, {}
    for i = 1, #jobs.attached, 2 do
      ids[#ids + 1], edges[#edges + 1] = jobs.attached[i], jobs.attached[i + 1]
    end
    attach(q, ids, edges)
  end
end
