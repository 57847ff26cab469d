--- Ends a transition: writes back the clocks that it moved (the first one of a queue also schema and epoch), and wakes owners.
-- INCLUDE: wake publish
local function save(q)
  local fields = q.fields
  if q.new then
    fields[#fields + 1] = "schema"
    fields[#fields + 1] = "1"
    fields[#fields + 1] = "epoch"
    fields[#fields + 1] = string.format("%.0f", q.now)
  end
  if q.stamp ~= q.stored then
    fields[#fields + 1] = "stamp"
    fields[#fields + 1] = q.stamp
  end
  if q.ticked then
    fields[#fields + 1] = "lease"
    fields[#fields + 1] = q.lease
    fields[#fields + 1] = "seen"
    fields[#fields + 1] = q.seen
  end
  local f = q.flow
  if f then
    local text = "%.0f %.0f %.0f %.17g %.0f %.0f %.0f %.0f %.0f %.0f"
    text = string.format(text, f.active, f.full, f.held, f.tokens, f.limited, f.index, f.since, f.turn, f.fifo, f.rules)
    if text ~= q.flowed then
      fields[#fields + 1] = "flow"
      fields[#fields + 1] = text
    end
  end
  local n, events = #fields, q.events
  if q.active ~= q.counted then
    -- Counted so that the peak is known; who asks how many run looks, and `trim` counts anew.
    fields[n + 1], fields[n + 2] = "active", q.active
    n = n + 2
    if q.active > q.peak then
      fields[n + 1], fields[n + 2] = "peak", q.active
      n = n + 2
    end
  end
  if q.day ~= q.began then
    fields[n + 1], fields[n + 2] = "day", q.day
    n = n + 2
  end
  if q.rows[1] or q.entry then
    q.row = q.row + #q.rows + q.entered
    fields[n + 1], fields[n + 2] = "rows", q.row
    n = n + 2
  end
  if events and events[1] then
    local size = 64
    for i = 1, #events do
      size = size + #events[i]
    end
    q.told = q.told + size
    fields[n + 1], fields[n + 2] = "told", q.told
    n = n + 2
  end
  if n > 0 then
    redis.call("HSET", q.P .. "meta", unpack(fields))
    publish(q)
  end
  wake(q, q.need)
end
