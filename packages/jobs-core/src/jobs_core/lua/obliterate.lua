--- Takes everything away that a queue has, in one step: jobs, totals, remembered ids. What is declared, scheduled, paused and leased stays.
-- The stamp stays too, so that who still runs a job of before is refused. Records go to the trash, which further calls and trim empty.
-- PREFIX: P
-- ARGV: force:int
-- RETURNS: jobs taken away (-1: not yet, an earlier trash is still being emptied; -2: jobs run, and force is 0), jobs that run, left in the trash (call trim)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound empty_trash flow schedule_watch event
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local running, busy = 0, {}
for _, owner in ipairs(redis.call("ZRANGE", P .. "owners", 0, -1)) do
  local n = redis.call("ZCARD", P .. "active:" .. owner)
  if n > 0 then
    running = running + n
    busy[#busy + 1] = owner
  end
end
if running > 0 and force == 0 then
  return { -2, running, 0 }
end
local _, left = empty_trash(q)
if left > 0 then
  save(q)
  return { -1, running, left }
end
-- No run of a schedule is there any more, so those that wait for the end of one go on.
local watched = redis.call("HKEYS", P .. "sched.watch")
for i = 1, #watched, 1000 do
  schedule_watch(q, { unpack(watched, i, math.min(i + 999, #watched)) }, "removed")
end
local jobs = redis.call("HLEN", P .. "rec")
local others = redis.call("HLEN", P .. "waiters") + redis.call("HLEN", P .. "logs") + redis.call("HLEN", P .. "follows")
for _, name in ipairs({ "flows", "flows.ended", "joins", "early" }) do
  others = others + redis.call("ZCARD", P .. name)
end
local keys = "waiting delayed unroutable completed failed cancelled expired blocked state history progress checkpoint"
  .. " result result.due tomb sessions stats unroutable.names expiring uniq uniq.next uniq.due letters letters.kept"
  .. " kactive kbucket cancels errors rows attach flows.due"
for key in string.gmatch(keys, "%S+") do
  redis.call("UNLINK", P .. key)
end
for family, list in pairs({ ["hist:"] = "hist.names", ["series:"] = "series.due" }) do
  for _, name in ipairs(redis.call("ZRANGE", P .. list, 0, -1)) do
    redis.call("UNLINK", P .. family .. name)
  end
  redis.call("UNLINK", P .. list)
end
for _, owner in ipairs(busy) do
  -- Who runs a job is dead to the queue: its next beat says so, and its handlers are cancelled.
  redis.call("UNLINK", P .. "active:" .. owner)
  redis.call("ZADD", P .. "owners", -q.ms, owner)
  redis.call("ZREM", P .. "idle", owner)
end
local trash = { rec = P .. "trash.rec", waiters = P .. "trash.waiters", logs = P .. "trash.logs" }
for _, name in ipairs({ "follows", "flows", "flows.ended", "joins", "early" }) do
  trash[name] = table.concat({ P, "trash.", name })
end
for name, key in pairs(trash) do
  if redis.call("EXISTS", P .. name) == 1 then
    redis.call("RENAME", P .. name, key)
  end
end
if q.flow then
  -- Jobs are still filed below their keys, as many as there are keys: claims and trim undo that step by step, and the queue is
  -- keyed anew when none is left. An id that comes back meanwhile is not found below the key it had.
  q.flow = flow()
  q.flow.index, q.flowed = redis.call("EXISTS", P .. "ring", P .. "kparked") > 0 and 3 or 0, ""
end
-- The outbox stays, for what has ended has its effects, and so does what tells who applies them once.
local stays = { "epoch", "stamp", "lease", "seen", "off", "told", "sched" }
local clocks, fields = redis.call("HMGET", P .. "meta", unpack(stays)), { "schema", "1" }
for i, name in ipairs(stays) do
  if clocks[i] then
    fields[#fields + 1] = name
    fields[#fields + 1] = clocks[i]
  end
end
redis.call("UNLINK", P .. "meta")
redis.call("HSET", P .. "meta", unpack(fields))
q.new = false
if jobs > 0 then
  event(q, "obliterated", string.format("%.0f", jobs))
end
save(q)
return { jobs, running, jobs + others }
