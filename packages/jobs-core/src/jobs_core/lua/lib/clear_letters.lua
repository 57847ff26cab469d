--- Removes dead letters whose jobs were replayed, wherever they wait or are kept; none of them runs. One that is still to come is refused.
-- INCLUDE: drop forget notify leave
local function clear_letters(q, ids, states)
  local P = q.P
  for i = 1, #ids do
    local id, state = ids[i], states[i]
    if state == "completed" or state == "failed" or state == "cancelled" or state == "expired" then
      drop(q, state, { id })
    elseif state ~= "" and state ~= "finished" then
      notify(q, { id }, "removed")
      if state == "waiting" then
        leave(q, { id })
      else
        redis.call("ZREM", P .. state, id)
      end
      forget(q, { id }, false, false)
      redis.call("HINCRBY", P .. "stats", "removed", 1)
    end
    redis.call("ZADD", P .. "tomb", q.ms + 86400000, id)
  end
end
