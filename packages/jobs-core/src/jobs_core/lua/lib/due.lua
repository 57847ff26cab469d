--- Promotes at most `limit` due jobs from `delayed`. The priority travels in the low bits of the score.
-- Returns how many, and when the next one is due (ms; nil: none).
-- INCLUDE: score to_ready
local function due(q, limit)
  local delayed = q.P .. "delayed"
  local head = redis.call("ZRANGE", delayed, 0, 0, "WITHSCORES")
  local at = head[1] and math.floor(head[2] / 16)
  if not at or at > q.ms then
    return 0, at
  end
  local found = redis.call("ZRANGEBYSCORE", delayed, "-inf", q.ms * 16 + 15, "WITHSCORES", "LIMIT", 0, limit)
  local ids, pairs = {}, {}
  for i = 1, #found, 2 do
    local packed = tonumber(found[i + 1])
    local priority = packed % 16
    ids[#ids + 1] = found[i]
    pairs[i] = score(q, (packed - priority) / 16 * 1000, priority)
    pairs[i + 1] = found[i]
  end
  to_ready(q, pairs)
  redis.call("ZREM", delayed, unpack(ids))
  head = redis.call("ZRANGE", delayed, 0, 0, "WITHSCORES")
  return #ids, head[1] and math.floor(head[2] / 16)
end
