--- Reads schedules: now (ms), how many there are, then id, definition, state and note of each; fewer than asked for when they are large.
local function schedule_told(q, ids)
  local P = q.P
  local out, bytes = { string.format("%.0f", q.ms), redis.call("ZCARD", P .. "sched") }, 0
  for i = 1, #ids do
    local row = redis.call("HGET", P .. "sched.rows", ids[i])
    if row and bytes > 0 and bytes + #row > 524288 then
      break
    end
    if row then
      bytes = bytes + #row
      out[#out + 1] = ids[i]
      out[#out + 1] = row
      out[#out + 1] = redis.call("HGET", P .. "sched.state", ids[i]) or ""
      out[#out + 1] = redis.call("HGET", P .. "sched.notes", ids[i]) or ""
    end
  end
  return out
end
