--- Tells flows elsewhere that jobs ended which they follow. The edges stay with a job that is kept: one that failed may still complete.
-- INCLUDE: tell_ends
local function follow(q, ids, state, infos)
  if redis.call("EXISTS", q.P .. "follows") == 0 then
    return
  end
  local found, ends = redis.call("HMGET", q.P .. "follows", unpack(ids)), {}
  for i = 1, #ids do
    if found[i] then
      ends[#ends + 1] = { found[i], ids[i], state, infos[i] or "" }
    end
  end
  tell_ends(q, ends)
end
