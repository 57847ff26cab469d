--- Counts the dead letters that there are by original queue, which their ids begin with: those that came (1) or go (-1).
local function keep_letters(q, ids, by)
  local P, counts = q.P, {}
  if string.sub(P, -14) ~= "{dead-letter}:" then
    return
  end
  for i = 1, #ids do
    local queue = string.match(ids[i], "^([%w._-]+):")
    if queue and redis.call("HEXISTS", P .. "rec", ids[i]) == 1 then
      counts[queue] = (counts[queue] or 0) + by
    end
  end
  for queue, n in pairs(counts) do
    if redis.call("HINCRBY", P .. "letters.kept", queue, n) <= 0 then
      redis.call("HDEL", P .. "letters.kept", queue)
    end
  end
end
