--- Takes a key out of the ring until a time (ms); one that is held back for longer stays so. (Until when it waits for tokens is
-- worked out anew then.)
local function park_key(q, key, till)
  local held = tonumber(redis.call("ZSCORE", q.P .. "kparked", key) or 0)
  if held < till or held == math.huge or held % 1 > 0 then
    redis.call("ZADD", q.P .. "kparked", till, key)
  end
  redis.call("ZREM", q.P .. "ring", key)
end
