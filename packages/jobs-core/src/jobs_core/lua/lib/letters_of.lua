--- Counts the dead letters that there are by original queue, which their ids begin with. Returns nil where there are more than 5000.
local function letters_of(P)
  local counts = {}
  if string.sub(P, -14) ~= "{dead-letter}:" then
    return counts
  elseif redis.call("HLEN", P .. "rec") > 5000 then
    return nil
  end
  local ids = redis.call("HKEYS", P .. "rec")
  for i = 1, #ids do
    local queue = string.match(ids[i], "^([%w._-]+):")
    if queue then
      counts[queue] = (counts[queue] or 0) + 1
    end
  end
  return counts
end
