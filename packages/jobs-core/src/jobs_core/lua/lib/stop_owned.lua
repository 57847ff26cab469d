--- Cancels jobs that nobody follows but the job that added them: `args` is what its edges begin with, then ids (at most 32). One that is
-- not there yet does not come any more. Returns the messages to workers that the caller is to publish when all is written.
-- INCLUDE: homes stop
local function stop_owned(q, args)
  local P, whose, ids, its = q.P, args[1], { unpack(args, 2) }, {}
  local states, follows = homes(P, ids), redis.call("HMGET", P .. "follows", unpack(ids))
  for i = 1, #ids do
    local only = follows[i]
    for edge in string.gmatch(follows[i] or "", "[^;]+") do
      only = only and string.sub(edge, 1, #whose) == whose
    end
    if states[i] == "" then
      redis.call("ZADD", P .. "tomb", "GT", string.format("%.0f", q.ms + 86400000), ids[i])
    elseif only then
      its[#its + 1] = ids[i]
    end
  end
  return its[1] and select(2, stop(q, its)) or {}
end
