--- Writes what a call has to tell: summary rows and events, each as one entry of a capped stream. No transition fails for it.
-- The id of an entry is how far the stream has come, in rows or in bytes, so one bound cuts at exactly so much.
local function publish(q)
  local P, events = q.P, q.events
  if q.row ~= q.rowed then
    local entry = q.entry or {}
    if q.rows[1] then
      entry[#entry + 1] = "rows"
      entry[#entry + 1] = cmsgpack.pack({ "", q.rows })
    end
    redis.pcall("XADD", P .. "rows", "MINID", "~", math.max(q.row - 10000, 0), q.row, unpack(entry))
  end
  if events and events[1] then
    redis.pcall("XADD", P .. "events", "MINID", "~", q.told - 4194304, q.told, "ms", q.ms, unpack(events))
  end
end
