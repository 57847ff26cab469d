--- Writes what running jobs tell into a hash by id: id, fence, value (opaque) from argument `at` on. A stale fence is refused.
-- Returns one character a job: 1 written, 0 refused.
local function fenced(P, hash, owner, at)
  local verdicts = {}
  for i = at, #ARGV, 3 do
    local fence = redis.call("ZSCORE", P .. "active:" .. owner, ARGV[i])
    if fence and tonumber(fence) == tonumber(ARGV[i + 1]) then
      redis.call("HSET", hash, ARGV[i], ARGV[i + 2])
      verdicts[#verdicts + 1] = "1"
    else
      verdicts[#verdicts + 1] = "0"
    end
  end
  return table.concat(verdicts)
end
