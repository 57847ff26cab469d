--- Notes what happened to jobs: "name@version attempt", perhaps why, and their ids, a line each, for every run of jobs alike.
-- `states` are their entries of `state` where they have one; `past` says that the attempt is the last one, not the next.
-- INCLUDE: history event
local function tell(q, kind, ids, recs, states, past, why)
  if not q.events or not ids[1] then
    return
  end
  local lines, n, last_name, last_attempt = nil, 0, nil, nil
  for i = 1, #ids do
    local rec, attempt = recs[i], past and 0 or 1
    if states[i] then
      attempt = attempt + history(states[i])
    end
    local name = rec and string.sub(rec, 37, 36 + string.byte(rec, 21)) or ""
    if name ~= last_name or attempt ~= last_attempt then
      if lines then
        event(q, kind, table.concat(lines, "\n"))
      end
      lines, n = { string.format("%s %.0f %s", name, attempt, why or "") }, 1
      last_name, last_attempt = name, attempt
    end
    n = n + 1
    lines[n] = ids[i]
  end
  event(q, kind, table.concat(lines, "\n"))
end
