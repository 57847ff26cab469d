--- Ends a transition: writes back the clocks that it moved (the first one of a queue also schema and epoch), and wakes owners.
-- INCLUDE: wake
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
  if fields[1] then
    redis.call("HSET", q.P .. "meta", unpack(fields))
  end
  wake(q, q.need)
end
