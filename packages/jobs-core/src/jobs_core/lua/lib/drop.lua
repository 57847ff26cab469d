--- Removes retained jobs from a final home with their result and all that is kept of them, the first of them as far as they are 32 MiB.
-- Returns the bytes that stay there, and how many went.
-- INCLUDE: weight within forget
local function drop(q, home, ids)
  local bytes, sizes = 0, weight(q.P, ids)
  ids = within(q.P, ids, sizes)
  for i = 1, #ids do
    bytes = bytes + sizes[i]
  end
  redis.call("HDEL", q.P .. "result", unpack(ids))
  redis.call("ZREM", q.P .. "result.due", unpack(ids))
  forget(q, ids, false, false)
  redis.call("ZREM", q.P .. home, unpack(ids))
  return redis.call("HINCRBY", q.P .. "meta", "bytes:" .. home, 0 - bytes), #ids
end
