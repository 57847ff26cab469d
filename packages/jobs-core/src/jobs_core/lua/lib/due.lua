--- Promotes at most `limit` due jobs from `delayed` (half as many, and 512 KiB, in a keyed queue). The priority travels in the low bits of the score.
-- Returns how many, and when the next one is due (ms; nil: none).
-- INCLUDE: score to_ready within
local function due(q, limit)
  local delayed = q.P .. "delayed"
  local head = redis.call("ZRANGE", delayed, 0, 0, "WITHSCORES")
  local at = head[1] and math.floor(head[2] / 16)
  if not at or at > q.ms then
    return 0, at
  end
  local keyed = q.flow and q.flow.index % 3 ~= 0
  -- Below their keys jobs are filed one by one.
  limit = keyed and limit / 2 or limit
  local found = redis.call("ZRANGEBYSCORE", delayed, "-inf", q.ms * 16 + 15, "WITHSCORES", "LIMIT", 0, limit)
  local ids, pairs = {}, {}
  for i = 1, #found, 2 do
    ids[#ids + 1] = found[i]
  end
  if keyed then
    -- Their keys are in their records.
    ids = within(q.P, ids)
  end
  for i = 1, 2 * #ids, 2 do
    local packed = tonumber(found[i + 1])
    local priority = packed % 16
    pairs[i] = score(q, (packed - priority) / 16 * 1000, priority)
    pairs[i + 1] = found[i]
  end
  to_ready(q, pairs)
  redis.call("ZREM", delayed, unpack(ids))
  head = redis.call("ZRANGE", delayed, 0, 0, "WITHSCORES")
  return #ids, head[1] and math.floor(head[2] / 16)
end
