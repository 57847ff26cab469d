--- The place of a job in `waiting`.
-- INCLUDE: head_start
local function score(q, ready_us, priority)
  return ready_us + head_start(q, priority)
end
