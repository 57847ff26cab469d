--- Writes the checkpoints of running jobs, which their next attempt sees; a stale fence is refused.
-- PREFIX: P
-- ARGV: owner:str
-- REST: id, fence, checkpoint (opaque, at most 64 KiB) of each job
-- RETURNS: one character a job: 1 written, 0 refused
-- FLAGS: allow-oom
local verdicts = {}
for i = 2, #ARGV, 3 do
  local fence = redis.call("ZSCORE", P .. "active:" .. owner, ARGV[i])
  if fence and tonumber(fence) == tonumber(ARGV[i + 1]) then
    redis.call("HSET", P .. "checkpoint", ARGV[i], ARGV[i + 2])
    verdicts[#verdicts + 1] = "1"
  else
    verdicts[#verdicts + 1] = "0"
  end
end
return table.concat(verdicts)
