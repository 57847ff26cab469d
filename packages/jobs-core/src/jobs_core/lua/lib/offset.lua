--- What is added to the ready time of a job for its place in `waiting`: less the offset of its priority, or the strict band of it.
local function offset(q, priority)
  if q.strict then
    return priority * 1125899906842624 - 1735689600000000
  end
  return -q.offsets[priority] * 1000
end
