--- The time that a test has set, in microseconds, in place of the server's.
local function clock()
  return tonumber(redis.call("GET", "test-clock"))
end
