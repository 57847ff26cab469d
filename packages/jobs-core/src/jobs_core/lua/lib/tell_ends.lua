--- Writes the ends of jobs into the outbox for those that follow them: `ends` is {edge, id, state, info} of each.
-- An edge is `TARGET:FLOW:ORDINAL:MODE`, or `TARGET:!:CONTENT` for jobs that follow a failure alone; behind the target it is the
-- relay's to read.
-- INCLUDE: parts post_all
local function tell_ends(q, ends)
  local counts, contents, targets, at = {}, {}, {}, string.format("%.0f", q.ms)
  for i = 1, #ends do
    local edge, id, state, info = unpack(ends[i])
    local target, rest = string.match(edge, "^([^:]*):(.*)$")
    if target and (string.sub(rest, 1, 1) ~= "!" or state == "failed" or state == "expired") then
      if not contents[target] then
        targets[#targets + 1] = target
        counts[target], contents[target] = {}, {}
      end
      local n = #contents[target] + 1
      counts[target][n] = 1
      contents[target][n] = parts({ rest, id, state, at, info })
    end
  end
  for i = 1, #targets do
    post_all(q, targets[i], "end", counts[targets[i]], contents[targets[i]])
  end
end
