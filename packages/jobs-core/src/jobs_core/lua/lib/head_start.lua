--- What its priority takes off (or adds to) the ready time of a job for its place in `waiting`; a strict queue has bands instead.
local function head_start(q, priority)
  if q.strict then
    return priority * 1125899906842624 - 1735689600000000
  end
  return -q.offsets[priority] * 1000
end
