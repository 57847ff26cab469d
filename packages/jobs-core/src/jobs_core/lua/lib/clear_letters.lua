--- Removes dead letters whose jobs were replayed, wherever they wait or are kept; none of them runs. One that is still to come is refused.
-- INCLUDE: drop take_out
local function clear_letters(q, ids, states)
  local P = q.P
  for i = 1, #ids do
    local id, state = ids[i], states[i]
    if state == "completed" or state == "failed" or state == "cancelled" or state == "expired" then
      drop(q, state, { id })
    elseif state ~= "" and state ~= "finished" then
      take_out(q, state, { id })
    end
    redis.call("ZADD", P .. "tomb", q.ms + 86400000, id)
  end
end
