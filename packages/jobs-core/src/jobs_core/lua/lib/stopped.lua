--- Ends those of failed jobs as cancelled that somebody asked to stop: what their handlers raised makes no difference. The attempt is told
-- in `history`. Returns the others, what is told of them, and the ids that were cancelled. The caller takes all out of their home.
-- INCLUDE: history record_attempt call_off
local function stopped(q, ids, infos)
  local P = q.P
  local asked = redis.call("HMGET", P .. "cancels", unpack(ids))
  local left, told, off, last = {}, {}, {}, {}
  for i = 1, #ids do
    if asked[i] then
      off[#off + 1], last[#last + 1] = ids[i], infos[i]
    else
      left[#left + 1], told[#told + 1] = ids[i], infos[i]
    end
  end
  if not off[1] then
    return ids, infos, off
  end
  local states = redis.call("HMGET", P .. "state", unpack(off))
  for i = 1, #off do
    local attempts, crashes, releases, cancel, again = history(states[i])
    redis.call("HSET", P .. "state", off[i], struct.pack(">I4I4I4BI8", attempts + 1, crashes, releases, cancel, again))
    record_attempt(P, off[i], last[i], true)
  end
  call_off(q, off, redis.call("HMGET", P .. "rec", unpack(off)))
  return left, told, off
end
