--- A token bucket, kept as the one time at which it is full again (us since 2025: small enough for parts of a us to count).
-- Returns that time after `cost` was taken, and how long (us) that has to wait (0: it can be taken now). `cost` over the
-- burst takes the full bucket. Whatever lies further ahead than an empty bucket (a clock that jumped back) counts as empty.
local function bucket(rate, full, now, cost)
  now = now - 1735689600000000
  local span = rate.burst * rate.each
  local from = math.min(math.max(full, now), now + span)
  local after = from + math.min(cost, rate.burst) * rate.each
  local wait = after - span - now
  return after, wait > 0.5 and wait or 0
end
