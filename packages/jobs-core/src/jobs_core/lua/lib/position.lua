--- Finds a place in a sorted set, also where who stood there has left: how many stand before (at, id), and whether it is there.
-- Members of one score stand in the order of their bytes; the comparison of Lua itself goes by the locale of the server.
local function position(key, at, id)
  local rank = redis.call("ZSCORE", key, id) == at and redis.call("ZRANK", key, id)
  if rank then
    return rank, true
  end
  local low = redis.call("ZCOUNT", key, "-inf", "(" .. at)
  local high = redis.call("ZCOUNT", key, "-inf", at)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other, i = redis.call("ZRANGE", key, middle, middle)[1], 1
    while i <= #id and string.byte(other, i) == string.byte(id, i) do
      i = i + 1
    end
    if (string.byte(other, i) or -1) < (string.byte(id, i) or -1) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, false
end
