--- Lets the strict keys of waiting jobs go on that wait for the retry of one of them: it leaves, or comes at another time.
-- `keys` with the `groups` of their ids, and until when (ms) each is `parked`. What a handler holds back stays so.
-- INCLUDE: history rejoin
local function unhold(q, keys, groups, parked)
  local over = {}
  for k = 1, q.flow.fifo == 1 and #keys or 0 do
    local till = tonumber(parked[k] or 0)
    if till > q.ms and till < math.huge then
      local states = redis.call("HMGET", q.P .. "state", unpack(groups[k]))
      for i = 1, #states do
        local _, _, _, _, again = history(states[i])
        if again == till and over[#over] ~= keys[k] then
          over[#over + 1] = keys[k]
        end
      end
    end
  end
  rejoin(q, over)
  q.need = q.need + #over
end
