--- How many more jobs a queue with a `max_depth` takes: those that wait, are delayed or blocked count.
local function room(q)
  local P = q.P
  return q.max_depth - redis.call("ZCARD", P .. "waiting") - redis.call("ZCARD", P .. "delayed") - redis.call("ZCARD", P .. "blocked")
end
