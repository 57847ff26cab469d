--- Server time in microseconds: the only clock a script knows, and read once in each.
local function clock()
  local t = redis.call("TIME")
  return t[1] * 1000000 + t[2]
end
