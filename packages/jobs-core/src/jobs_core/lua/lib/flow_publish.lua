--- Sends jobs that a flow kept back, which is closed now, at most 128 parts or 512 KiB. Returns how many parts are left, and the bytes it sent.
-- INCLUDE: pieces post flow_keys
local function flow_publish(q, id)
  local keys, bytes, n = flow_keys(q.P, id), 0, 0
  while n < 128 and bytes < 524288 do
    local packed = redis.call("LPOP", keys.staged)
    if not packed then
      break
    end
    local found = pieces(packed)
    post(q, found[1], { found[2], found[3] })
    n, bytes = n + 1, bytes + #packed
  end
  local left = redis.call("LLEN", keys.staged)
  if left == 0 then
    redis.call("ZREM", q.P .. "flows.due", id)
  else
    -- Whoever closed it goes on at once; if it died, others do.
    redis.call("ZADD", q.P .. "flows.due", string.format("%.0f", q.ms + 2000), id)
  end
  return left, bytes
end
