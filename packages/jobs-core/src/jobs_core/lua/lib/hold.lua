--- Pauses a job name or a key ("pause:job:NAME", "pause:key:KEY"; `till` in ms, "0": until it is resumed), or resumes it ("").
-- How many are paused is counted in `pauses`: that is what claims read. Returns whether anything changed.
-- INCLUDE: rejoin relax
local function hold(q, field, till)
  local cfg = q.P .. "cfg"
  local changed
  if till == "" then
    changed = redis.call("HDEL", cfg, field)
  else
    changed = redis.call("HSET", cfg, field, till)
  end
  if changed == 1 then
    redis.call("HINCRBY", cfg, "pauses", till == "" and -1 or 1)
  end
  if till == "" and changed == 1 then
    local key = string.match(field, "^pause:key:(.+)$")
    if key and q.flow and q.flow.index % 3 ~= 0 then
      rejoin(q, { key })
    end
    relax(q)
  end
  return changed == 1
end
