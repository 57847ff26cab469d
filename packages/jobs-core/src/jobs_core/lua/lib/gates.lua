--- Reads the limits in force, of those that an operator set (live) before those that code declares; "0" lifts one.
-- Returns max_active, rate, key_active, key_rate (each nil: none; a rate has `burst` and us for `each` token), keyed, fifo,
-- weights (lines of key=n), pauses (of names or keys: their number), and `rules`, a number that changes where parked keys are to be looked at.
local function gates(q)
  local c = redis.call(
    "HMGET",
    q.P .. "cfg",
    "max_active",
    "live:max_active",
    "rate",
    "live:rate",
    "key_active",
    "live:key_active",
    "key_rate",
    "live:key_rate",
    "keyed",
    "fifo",
    "weights",
    "pauses"
  )
  local function number(at)
    local n = tonumber(c[at + 1] or c[at] or 0) or 0
    return n > 0 and n or nil
  end
  local function rate(at)
    local max, per, burst = string.match(c[at + 1] or c[at] or "", "^(%d+) (%d+) (%d+)$")
    max = tonumber(max or 0)
    return max > 0 and { burst = tonumber(burst), each = per * 1000 / max } or nil
  end
  local g = { max_active = number(1), rate = rate(3), key_active = number(5), key_rate = rate(7) }
  g.keyed, g.fifo, g.pauses = c[9] == "1", c[10] == "1", tonumber(c[12] or 0) or 0
  g.weights = (c[11] or "") ~= "" and c[11] or nil
  if g.fifo then
    g.key_active = 1
  end
  g.rules = (g.key_active or 0) * 1000000 + g.pauses
  return g
end
