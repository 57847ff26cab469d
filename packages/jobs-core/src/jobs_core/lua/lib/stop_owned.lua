--- Cancels jobs that nobody follows but the job that added them: `args` is what its edges begin with ("": whoever follows them), then ids
-- (at most 32). One that has not come yet has ended as cancelled: it does not come any more, and whoever is to follow it hears that then.
-- Returns the messages to workers that the caller is to publish when all is written.
-- INCLUDE: homes stop
local function stop_owned(q, args)
  local P, whose, ids, its, till = q.P, args[1], { unpack(args, 2) }, {}, string.format("%.0f", q.ms + 86400000)
  local states, follows = homes(P, ids), redis.call("HMGET", P .. "follows", unpack(ids))
  for i = 1, #ids do
    local only = whose == "" or follows[i]
    for edge in string.gmatch(follows[i] or "", "[^;]+") do
      only = only and string.sub(edge, 1, #whose) == whose
    end
    if states[i] == "" and not redis.call("ZSCORE", P .. "tomb", ids[i]) then
      redis.call("ZADD", P .. "tomb", till, ids[i])
      redis.call("HSET", P .. "result", ids[i], string.format("cancelled %.0f", q.ms))
      redis.call("ZADD", P .. "result.due", till, ids[i])
    elseif states[i] ~= "" and only then
      its[#its + 1] = ids[i]
    end
  end
  return its[1] and select(2, stop(q, its)) or {}
end
