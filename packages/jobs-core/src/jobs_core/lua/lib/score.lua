--- The place of a job in `waiting`: its ready time less the offset of its priority, or the strict band of its priority.
local function score(q, ready_us, priority)
  if q.strict then
    return priority * 1125899906842624 + (ready_us - 1735689600000000)
  end
  return ready_us - q.offsets[priority] * 1000
end
