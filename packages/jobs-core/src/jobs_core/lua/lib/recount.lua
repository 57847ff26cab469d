--- Corrects what a hash says of how many there are: none is no field. Returns whether it was wrong.
local function recount(key, field, n)
  local said = tonumber(redis.call("HGET", key, field) or 0)
  if n == 0 then
    redis.call("HDEL", key, field)
  else
    redis.call("HSET", key, field, n)
  end
  return n ~= said
end
