--- Writes the progress of running jobs; a stale fence is refused.
-- PREFIX: P
-- ARGV: owner:str told:str
-- REST: id, fence, progress (opaque) of each job; `told` is what the events say of them (opaque, empty: nothing)
-- RETURNS: one character a job: 1 written, 0 refused
-- ERRORS: SCHEMA
-- INCLUDE: open save event
-- FLAGS: allow-oom
local verdicts = {}
for i = 3, #ARGV, 3 do
  local fence = redis.call("ZSCORE", P .. "active:" .. owner, ARGV[i])
  if fence and tonumber(fence) == tonumber(ARGV[i + 1]) then
    redis.call("HSET", P .. "progress", ARGV[i], ARGV[i + 2])
    verdicts[#verdicts + 1] = "1"
  else
    verdicts[#verdicts + 1] = "0"
  end
end
local verdict = table.concat(verdicts)
if told ~= "" and string.find(verdict, "1", 1, true) then
  local q = open(P)
  if q.err then
    return q
  end
  event(q, "told", told)
  if string.find(verdict, "0", 1, true) then
    event(q, "verdict", verdict)
  end
  save(q)
end
return verdict
