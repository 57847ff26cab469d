--- The place of a job in `waiting`.
-- INCLUDE: offset
local function score(q, ready_us, priority)
  return ready_us + offset(q, priority)
end
