--- Counts into this minute: jobs added, completed, failed and retried, and the us that they waited and ran.
-- A string a day, 32 bytes a minute: four numbers of 32 bits, two of 64. No transition fails for it; `trim` removes a day after 90.
local function series(q, added, completed, failed, retried, wait_us, run_us)
  if string.find(q.off, "metrics", 1, true) then
    return
  end
  local day = string.format("%.0f", math.floor(q.ms / 86400000))
  local at = math.floor(q.ms % 86400000 / 60000) * 256
  local ops, n = {}, 0
  local counts = { added, completed, failed, retried }
  for i = 1, 4 do
    if counts[i] > 0 then
      ops[n + 1], ops[n + 2], ops[n + 3], ops[n + 4] = "INCRBY", "u32", at + 32 * (i - 1), counts[i]
      n = n + 4
    end
  end
  if wait_us > 0 or run_us > 0 then
    ops[n + 1], ops[n + 2], ops[n + 3], ops[n + 4] = "INCRBY", "i64", at + 128, wait_us
    ops[n + 5], ops[n + 6], ops[n + 7], ops[n + 8] = "INCRBY", "i64", at + 192, run_us
    n = n + 8
  end
  if n == 0 then
    return
  end
  redis.pcall("BITFIELD", q.P .. "series:" .. day, unpack(ops))
  if q.day ~= day then
    redis.pcall("ZADD", q.P .. "series.due", (day + 91) * 86400000, day)
    q.day = day
  end
end
