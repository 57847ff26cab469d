--- Removes retained jobs from a final home with their result and all that is kept of them. Returns the bytes that stay there.
-- INCLUDE: weight forget
local function drop(q, home, ids)
  local bytes, sizes = 0, weight(q.P, ids)
  for i = 1, #sizes do
    bytes = bytes + sizes[i]
  end
  redis.call("HDEL", q.P .. "result", unpack(ids))
  redis.call("ZREM", q.P .. "result.due", unpack(ids))
  forget(q, ids, false, false)
  redis.call("ZREM", q.P .. home, unpack(ids))
  return redis.call("HINCRBY", q.P .. "meta", "bytes:" .. home, 0 - bytes)
end
