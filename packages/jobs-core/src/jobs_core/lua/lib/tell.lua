--- Notes what happened to jobs: "name@version attempt", perhaps why, and their ids, a line each, for every run of jobs alike.
-- `states` are their entries of `state` where they have one; `past` says that the attempt is the last one, not the next.
-- INCLUDE: history event
local function tell(q, kind, ids, recs, states, past, why)
  if not q.events or not ids[1] then
    return
  end
  local lines, head = {}, nil
  for i = 1, #ids do
    local rec, attempt = recs[i], past and 0 or 1
    if states[i] then
      attempt = attempt + history(states[i])
    end
    local name = rec and string.sub(rec, 37, 36 + string.byte(rec, 21)) or ""
    local first = string.format("%s %.0f %s", name, attempt, why or "")
    if first ~= head then
      if head then
        event(q, kind, table.concat(lines, "\n"))
      end
      head, lines = first, { first }
    end
    lines[#lines + 1] = ids[i]
  end
  event(q, kind, table.concat(lines, "\n"))
end
