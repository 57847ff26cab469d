--- Removes what has outlived its time, at most 500 of each kind (of jobs 32 MiB) a call: results, retained jobs, remembered ids, unique keys, idle sessions, dead owners, minutes of 90 days ago, flows that ended; and looks after flows whose time has come.
-- PREFIX: P
-- RETURNS: entries whose time is over, of which all or as many as a call may were removed (500: call again)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound drop drop_logs weight keeps sweep review reindex empty_trash hold flows_due event pause_over
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local n = sweep(q, 128) + empty_trash(q) + flows_due(q)
local over = redis.call("ZRANGEBYSCORE", P .. "result.due", "-inf", q.ms, "LIMIT", 0, 500)
n = n + #over
for _, home in ipairs({ "completed", "failed", "cancelled", "expired" }) do
  local kept, ids, others = over[1] and redis.call("ZMSCORE", P .. home, unpack(over)) or {}, {}, {}
  for i = 1, #over do
    local list = kept[i] and ids or others
    list[#list + 1] = over[i]
  end
  if ids[1] then
    drop(q, home, ids)
  end
  over = others
end
if over[1] then
  -- Of these only what was told is left.
  redis.call("HDEL", P .. "result", unpack(over))
  redis.call("ZREM", P .. "result.due", unpack(over))
  drop_logs(q, over)
end
-- Ended jobs go one by one as others end; this is for a retention that became smaller.
for _, home in ipairs({ "completed", "failed", "cancelled", "expired" }) do
  local card, keep, declared = redis.call("ZCARD", P .. home), nil, nil
  if card > 0 then
    keep, declared = keeps(q, home)
  end
  -- Of completed and failed jobs a queue that says nothing, or that removes its own, leaves those that say themselves.
  if keep and keep[1] ~= 0 and (declared or home == "cancelled" or home == "expired") then
    local excess = keep[1] > 0 and math.max(math.min(card - keep[1], 500), 0) or 0
    if keep[3] >= 0 then
      local size = tonumber(redis.call("HGET", P .. "meta", "bytes:" .. home) or 0)
      local oldest = size > keep[3] and redis.call("ZRANGE", P .. home, 0, 499) or {}
      local sizes = weight(P, oldest)
      for i = 1, #oldest do
        if size > keep[3] then
          excess = math.max(excess, i)
        end
        size = size - sizes[i]
      end
    end
    if excess > 0 then
      drop(q, home, redis.call("ZRANGE", P .. home, 0, excess - 1))
    end
    n = n + excess
  end
end
local tombs = redis.call("ZRANGEBYSCORE", P .. "tomb", "-inf", q.ms, "LIMIT", 0, 500)
if tombs[1] then
  n = n + redis.call("ZREM", P .. "tomb", unpack(tombs))
end
-- A unique key whose time is over is let go of; where a job waits behind it, it is held until that one is let in.
local keys = redis.call("ZRANGEBYSCORE", P .. "uniq.due", "-inf", q.ms, "LIMIT", 0, 500)
if keys[1] then
  local behind, free = redis.call("HMGET", P .. "uniq.next", unpack(keys)), {}
  for i = 1, #keys do
    free[#free + 1] = not behind[i] and keys[i] or nil
  end
  if free[1] then
    redis.call("HDEL", P .. "uniq", unpack(free))
  end
  n = n + redis.call("ZREM", P .. "uniq.due", unpack(keys))
end
-- A session is entered once, at its first call; when its hour is over its last use decides.
local sessions = redis.call("ZRANGEBYSCORE", P .. "sessions", "-inf", q.ms - 3600000, "LIMIT", 0, 500)
for i = 1, #sessions do
  local kept = redis.call("HGET", P .. "meta", "session:" .. sessions[i])
  local used = kept and tonumber(string.match(kept, "^%d+ (%d+)")) or 0
  if used > q.ms - 3600000 then
    redis.call("ZADD", P .. "sessions", used, sessions[i])
  else
    redis.call("HDEL", P .. "meta", "session:" .. sessions[i])
    redis.call("ZREM", P .. "sessions", sessions[i])
    n = n + 1
  end
end
local dead = redis.call("ZRANGEBYSCORE", P .. "owners", -(q.ms - 600000), "(-1", "LIMIT", 0, 500)
for i = 1, #dead do
  if redis.call("EXISTS", P .. "active:" .. dead[i]) == 0 then
    n = n + redis.call("ZREM", P .. "owners", dead[i])
  end
end
if q.flow then
  -- A bucket that is full again is as good as none; a key without jobs is held back no longer than it was to be.
  local full = redis.call("ZRANGEBYSCORE", P .. "kbucket", "-inf", q.now - 1735689600000000, "LIMIT", 0, 500)
  if full[1] then
    n = n + redis.call("ZREM", P .. "kbucket", unpack(full))
  end
  if q.flow.index == 3 then
    reindex(q, { keyed = false })
  else
    review(q)
  end
end
pause_over(q)
if tonumber(redis.call("HGET", P .. "cfg", "pauses") or 0) > 0 then
  -- Pauses that ended by themselves are over without it; what is kept of them goes.
  local from = redis.call("HGET", P .. "meta", "scanned") or "0"
  local page = redis.call("HSCAN", P .. "cfg", from, "MATCH", "pause:*", "COUNT", 500)
  for i = 1, #page[2], 2 do
    if not lasts(q, page[2][i + 1]) then
      hold(q, page[2][i], "")
      event(q, "resumed", cmsgpack.pack({ string.sub(page[2][i], 7), "", "its time was over" }))
      n = n + 1
    end
  end
  if page[1] ~= from then
    redis.call("HSET", P .. "meta", "scanned", page[1])
  end
end
local days = redis.call("ZRANGEBYSCORE", P .. "series.due", "-inf", q.ms, "LIMIT", 0, 500)
for i = 1, #days do
  redis.call("UNLINK", P .. "series:" .. days[i])
  n = n + redis.call("ZREM", P .. "series.due", days[i])
end
local running, owners = 0, redis.call("ZRANGE", P .. "owners", 0, -1)
for i = 1, #owners do
  running = running + redis.call("ZCARD", P .. "active:" .. owners[i])
end
q.active = running
if q.flow and q.flow.active >= 0 then
  -- A call that failed midway may have left slots counted that nobody has.
  if running < q.flow.active then
    q.flow.full, q.need = 0, math.max(q.need, 1)
  end
  q.flow.active = running
end
save(q)
return n
