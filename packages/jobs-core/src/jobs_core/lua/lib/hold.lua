--- Pauses a job name or a key ("pause:job:NAME", "pause:key:KEY"; `till` in ms, "0": until it is resumed), or resumes it ("").
-- How many are paused is counted in `pauses`: that is what claims read. Returns whether it was paused before.
-- INCLUDE: rejoin relax lasts
local function hold(q, field, till)
  local cfg, key = q.P .. "cfg", string.match(field, "^pause:key:(.+)$")
  local before = redis.call("HGET", cfg, field)
  if till ~= "" then
    redis.call("HSET", cfg, field, till)
  elseif before then
    redis.call("HDEL", cfg, field)
    -- Why it was.
    redis.call("HDEL", cfg, (string.gsub(field, "^pause", "why")))
  end
  if (till ~= "") ~= (before ~= false) then
    redis.call("HINCRBY", cfg, "pauses", till == "" and -1 or 1)
  end
  if before and key and q.flow and q.flow.index % 3 ~= 0 then
    -- What parked the key until the end that the pause had is over; a claim parks it anew for what still holds. A time that a
    -- handler asked for is another one.
    local parked = redis.call("ZSCORE", q.P .. "kparked", key)
    if parked and (parked == "inf" or tonumber(parked) == tonumber(before)) then
      rejoin(q, { key })
    end
  end
  if before and till == "" then
    relax(q)
  end
  return lasts(q, before)
end
