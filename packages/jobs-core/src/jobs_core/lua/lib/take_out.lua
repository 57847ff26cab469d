--- Removes jobs that have not started from the home that they wait in; what they hold besides is the caller's to let go of.
-- INCLUDE: record tell unpark notify follow leave forget
local function take_out(q, state, ids)
  local P = q.P
  local recs = redis.call("HMGET", P .. "rec", unpack(ids))
  tell(q, "removed", ids, recs, {}, true)
  if state == "unroutable" then
    local counts = {}
    for i = 1, #ids do
      local _, _, _, _, name = record(recs[i] or string.rep("\0", 36))
      counts[name] = (counts[name] or 0) + 1
    end
    unpark(q, counts)
  end
  notify(q, ids, "removed")
  follow(q, ids, "removed", {})
  if state == "waiting" then
    leave(q, ids)
  else
    redis.call("ZREM", P .. state, unpack(ids))
  end
  forget(q, ids, false, false)
  redis.call("HINCRBY", P .. "stats", "removed", #ids)
end
