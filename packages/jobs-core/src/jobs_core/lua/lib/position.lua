--- Finds a place in a sorted set, also where who stood there has left: how many stand before (score, id), and whether it is there.
-- Members of one score stand in the order of their bytes; the comparison of Lua itself goes by the locale of the server.
local function position(key, score, id)
  local rank = redis.call("ZSCORE", key, id) == score and redis.call("ZRANK", key, id)
  if rank then
    return rank, true
  end
  local low = redis.call("ZCOUNT", key, "-inf", "(" .. score)
  local high = redis.call("ZCOUNT", key, "-inf", score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other, at = redis.call("ZRANGE", key, middle, middle)[1], 1
    while string.byte(other, at) == string.byte(id, at) do
      at = at + 1
    end
    if (string.byte(other, at) or -1) < (string.byte(id, at) or -1) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, false
end
