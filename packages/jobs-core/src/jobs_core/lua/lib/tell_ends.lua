--- Writes the ends of jobs into the outbox for those that follow them: `ends` is {edges joined by `;`, id, state, info} of each.
-- An edge is `TARGET:FLOW:ORDINAL:MODE`, or `TARGET:!:CONTENT` for jobs that follow a failure alone; behind the target it is the
-- relay's to read. What is told of a job is written once for each target, however many follow it there.
-- INCLUDE: parts post_all
local function tell_ends(q, ends)
  local counts, contents, targets, at = {}, {}, {}, string.format("%.0f", q.ms)
  local function note_for(target, rests, of)
    if not contents[target] then
      targets[#targets + 1] = target
      counts[target], contents[target] = {}, {}
    end
    table.insert(counts[target], #rests)
    table.insert(contents[target], parts({ table.concat(rests, ";"), of[2], of[3], at, of[4] }))
  end
  for i = 1, #ends do
    local rests, order, state = {}, {}, ends[i][3]
    for edge in string.gmatch(ends[i][1], "[^;]+") do
      local target, rest = string.match(edge, "^([^:]*):(.*)$")
      if target and string.sub(rest, 1, 1) == "!" then
        if state == "failed" or state == "expired" then
          note_for(target, { rest }, ends[i])
        end
      elseif target then
        if not rests[target] then
          order[#order + 1], rests[target] = target, {}
        end
        table.insert(rests[target], rest)
      end
    end
    for _, target in ipairs(order) do
      note_for(target, rests[target], ends[i])
    end
  end
  for i = 1, #targets do
    post_all(q, targets[i], "end", counts[targets[i]], contents[targets[i]])
  end
end
