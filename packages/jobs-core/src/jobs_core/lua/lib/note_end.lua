--- Notes jobs that a script ended by itself, without a worker that tells of it: an event and a summary row for each.
-- `why` is the cause of a failure (poison, deadline), else empty.
-- INCLUDE: record history tell
local function note_end(q, state, ids, recs, states, why)
  for i = 1, #ids do
    if recs[i] then
      local _, _, stamp, _, name = record(recs[i])
      local attempts = history(states[i])
      q.rows[#q.rows + 1] = { ids[i], name, state, math.floor(stamp / 1000), 0, q.ms, 0, 0, attempts, why }
    end
  end
  tell(q, state, ids, recs, states, true, why)
end
