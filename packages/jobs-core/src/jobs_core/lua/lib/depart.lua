--- Takes jobs that have not started out of the homes that they wait in, and counts the parked ones out. They are to end.
-- INCLUDE: record leave unpark
local function depart(q, ids, states, recs)
  local of, parked = {}, {}
  for i = 1, #ids do
    local state = states[i]
    of[state] = of[state] or { {}, {} }
    table.insert(of[state][1], ids[i])
    table.insert(of[state][2], recs[i])
    if state == "unroutable" then
      local _, _, _, _, name = record(recs[i])
      parked[name] = (parked[name] or 0) + 1
    end
  end
  for state, jobs in pairs(of) do
    if state == "waiting" then
      leave(q, jobs[1], jobs[2])
    else
      redis.call("ZREM", q.P .. state, unpack(jobs[1]))
    end
  end
  unpark(q, parked)
end
