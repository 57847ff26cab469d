--- Counts the dead letters that there are by original queue, which their ids begin with: those that come (1) or go (-1).
-- It is called before their records are written, or removed. Of `ids` every `step`th is one.
local function keep_letters(q, ids, by, step)
  local P, counts = q.P, {}
  if string.sub(P, -14) ~= "{dead-letter}:" then
    return
  end
  for i = 1, #ids, step or 1 do
    local queue = string.match(ids[i], "^([%w._-]+):")
    if queue and redis.call("HEXISTS", P .. "rec", ids[i]) == (by < 0 and 1 or 0) then
      counts[queue] = (counts[queue] or 0) + by
    end
  end
  for queue, n in pairs(counts) do
    if redis.call("HINCRBY", P .. "letters.kept", queue, n) <= 0 then
      redis.call("HDEL", P .. "letters.kept", queue)
    end
  end
end
