--- Ends jobs as cancelled where a script does it and no worker; what is told of them is the time (ms).
-- Their state entries are what they are to stay. The caller takes them out of their home.
-- INCLUDE: record finish note_end
local function call_off(q, ids, recs)
  local infos, counts, plain = {}, {}, true
  local info = string.format("cancelled %.0f", q.ms)
  for i = 1, #ids do
    local flags, _, _, _, name = record(recs[i])
    infos[i] = info
    counts[name] = (counts[name] or 0) + 1
    plain = plain and flags == 0
  end
  if ids[1] then
    note_end(q, "cancelled", ids, recs, redis.call("HMGET", q.P .. "state", unpack(ids)), "")
    finish(q, "cancelled", ids, infos, { -2, -1, -1 }, 0, plain)
  end
  for name, n in pairs(counts) do
    redis.call("HINCRBY", q.P .. "stats", "cancelled:" .. name, n)
  end
end
