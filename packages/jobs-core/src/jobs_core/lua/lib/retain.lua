--- Keeps finished jobs in their final home and applies count and byte limits to its oldest members.
-- `plain` and `bare` as forget takes them. keep = {count, age_ms, bytes}, below zero: no limit; at most twice as many jobs as were added are dropped in one call.
-- INCLUDE: weight drop
local function retain(q, home, ids, infos, keep, plain, bare)
  local P, pairs, due, size = q.P, {}, {}, 0
  local light = plain and bare
  local sizes = light and {} or weight(P, ids)
  local count, age_ms, bytes = keep[1], keep[2], keep[3]
  local now, till = string.format("%.0f", q.ms), string.format("%.0f", q.ms + age_ms)
  for i = 1, #ids do
    pairs[2 * i - 1], pairs[2 * i] = now, ids[i]
    due[2 * i - 1], due[2 * i] = till, ids[i]
    size = size + (light and redis.call("HSTRLEN", P .. "rec", ids[i]) + #infos[i] or sizes[i])
  end
  redis.call("ZADD", P .. home, unpack(pairs))
  if age_ms >= 0 then
    redis.call("ZADD", P .. "result.due", unpack(due))
  end
  size = redis.call("HINCRBY", P .. "meta", "bytes:" .. home, size)
  local excess = count >= 0 and redis.call("ZCARD", P .. home) - count or 0
  excess = math.min(excess, 2 * #ids)
  if excess > 0 then
    size = drop(q, home, redis.call("ZRANGE", P .. home, 0, excess - 1))
  end
  if bytes >= 0 and size > bytes then
    local oldest, over = redis.call("ZRANGE", P .. home, 0, 2 * #ids - 1), {}
    local old = weight(P, oldest)
    for i = 1, #oldest do
      if size <= bytes then
        break
      end
      over[i] = oldest[i]
      size = size - old[i]
    end
    if over[1] then
      drop(q, home, over)
    end
  end
end
