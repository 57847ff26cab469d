--- Counts queues without changing them: every home, what runs, its totals, its pause and its longest wait.
-- KEYS: prefixes
-- RETURNS: for each queue: sizes by home (active last), paused since, actor, reason, longest wait, stats, parked names, 1 if ever used, peak concurrency, errors by name and type, paused until ("0": resumed by hand), paused names and keys
-- ERRORS: SCHEMA
-- INCLUDE: open record history
-- FLAGS: no-writes
-- The last score of the band that a score lies in; infinite behind the last band.
local function band_end(q, score)
  if q.strict then
    return (math.floor(score / 1125899906842624) + 1) * 1125899906842624 - 1
  end
  local to = math.huge
  for i = 1, 5 do
    local last = q.now - q.offsets[i] * 1000
    if last >= score and last < to then
      to = last
    end
  end
  return to
end

local function tally(P)
  local q = open(P)
  if q.err then
    return q
  end
  local sizes = {}
  for i, home in ipairs({ "waiting", "delayed", "blocked", "unroutable", "completed", "failed", "cancelled", "expired" }) do
    sizes[i] = redis.call("ZCARD", P .. home)
  end
  local active = 0
  local owners = redis.call("ZRANGE", P .. "owners", 0, -1)
  for i = 1, #owners do
    active = active + redis.call("ZCARD", P .. "active:" .. owners[i])
  end
  sizes[9] = active

  local longest = -1
  if sizes[1] > 0 then
    longest = 0
    -- The scores of waiting jobs lie in one band a priority: of each that has any the first ones are looked at. Jobs so old that
    -- they have aged into the band of a better priority lie there in the order of their turns, so at most 4 of them are seen.
    local heads, from = {}, "-inf"
    while from do
      local first = redis.call("ZRANGEBYSCORE", P .. "waiting", from, "+inf", "WITHSCORES", "LIMIT", 0, 4)
      -- Of fewer than 4 all are there, whatever their bands.
      local to = first[8] and band_end(q, tonumber(first[2])) or math.huge
      for j = 1, #first, 2 do
        if tonumber(first[j + 1]) <= to then
          heads[#heads + 1] = first[j]
        end
      end
      from = to < math.huge and string.format("(%.0f", to)
    end
    if heads[1] then
      local recs = redis.call("HMGET", P .. "rec", unpack(heads))
      local states = redis.call("HMGET", P .. "state", unpack(heads))
      for i = 1, #heads do
        if recs[i] then
          local _, _, stamp, due = record(recs[i])
          local _, _, _, _, ready = history(states[i])
          local since = ready > 0 and ready or due > 0 and due or stamp / 1000
          longest = math.max(longest, math.floor(q.ms - since))
        end
      end
    end
  end
  local pause = redis.call("HMGET", P .. "cfg", "paused", "pause_actor", "pause_reason", "paused_until", "pauses")
  local till = tonumber(pause[4] or 0)
  if till > 0 and till <= q.ms then
    pause = { false, false, false, false, pause[5] }
  end
  return {
    sizes,
    pause[1] or "",
    pause[2] or "",
    pause[3] or "",
    longest,
    redis.call("HGETALL", P .. "stats"),
    sizes[4] > 0 and redis.call("HGETALL", P .. "unroutable.names") or {},
    q.new and 0 or 1,
    q.peak,
    redis.call("HGETALL", P .. "errors"),
    pause[4] or "0",
    tonumber(pause[5] or 0),
  }
end

local out = {}
for i = 1, #KEYS do
  out[i] = tally(KEYS[i])
  if out[i].err then
    return out[i]
  end
end
return out
