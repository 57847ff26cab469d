--- Takes up to `want` waiting jobs for an owner, promotes what is due first, and registers the owner as idle while it has free slots.
-- PREFIX: P
-- ARGV: session:str seq:int owner:str register:int want:int free:int max_bytes:int limits:str after:str
-- RETURNS: ids, records, first fence, now (us), states of jobs with a history, ms until the next due job if this owner holds the alarm (else -1), paused, unroutable names (at most 128), jobs left waiting, where it stopped (a score; empty: at the end, or with all that was wanted), 1 if more may be had at once, 1 if this owner is to tick the schedules that are due
-- ERRORS: SCHEMA, STALE, OWNER_GONE
-- INCLUDE: open save tick session remember sweep due pick pick_by_key regulate outlook rearm leave advance started tell numbered pause_over
-- FLAGS: allow-oom
local q = open(P, session)
if q.err then
  return q
end
local active = P .. "active:" .. owner
local known, err = session_verdict(q, session, seq)
if err then
  return err
end
local deadline = tonumber(redis.call("ZSCORE", P .. "owners", owner))
if deadline and deadline < 0 or not deadline and register == 0 then
  return redis.error_reply("OWNER_GONE " .. owner)
end
if known then
  -- The reply of this very call was lost: what it took, and has not been settled since, is told again.
  local first, last = string.match(known, "(%d+) (%d+)")
  local ids, recs, fences, states = redis.call("ZRANGEBYSCORE", active, first, last), {}, {}, {}
  if ids[1] then
    recs = redis.call("HMGET", P .. "rec", unpack(ids))
    states = redis.call("HMGET", P .. "state", unpack(ids))
    fences = redis.call("ZMSCORE", active, unpack(ids))
  end
  local held = redis.call("HMGET", P .. "meta", "alarm", "alarm_owner")
  local alarm = held[2] == owner and math.max(held[1] - q.ms, 0) or -1
  local left = redis.call("ZCARD", P .. "waiting")
  return { ids, recs, fences, string.format("%.0f", q.now), states, alarm, q.paused and 1 or 0, {}, left, "", left > 0 and 1 or 0, 0 }
end

if q.flow then
  -- Slots are counted before the jobs move, so a key that is not ours must show now.
  redis.call("ZCARD", active)
end
tick(q)
pause_over(q)
if not deadline then
  redis.call("ZADD", P .. "owners", q.lease + 20000, owner)
end
local sides = redis.call("EXISTS", P .. "state", P .. "unroutable.names", P .. "expiring")
local next_expiry
if sides > 0 then
  next_expiry = select(2, sweep(q, 64))
end
local promoted, next_due = due(q, 128)
if next_expiry and (not next_due or next_expiry < next_due) then
  next_due = next_expiry
end
-- Who finds schedules due ticks them, and the others leave that to it for a second.
local ticks = q.sched > 0 and q.sched <= q.ms and register == 0
if q.sched > 0 then
  q.sched = ticks and q.ms + 1000 or q.sched
  next_due = math.min(next_due or q.sched, math.max(q.sched, q.ms))
end

local ids, taken, gone, left, cursor = {}, {}, {}, nil, ""
local g, picky, passed = (q.gated or q.flow) and regulate(q), limits ~= "", ""
if q.resumes > 0 then
  next_due = math.min(next_due or q.resumes, q.resumes)
end
if g then
  want = math.min(want, g.room)
  g.turns, g.plan = g.by_key and redis.call("ZCARD", P .. "ring") or 0, { kparked = {} }
  if g.pauses > 0 and not picky and not g.by_key then
    -- Where many wait whose names are paused, each claim goes on behind what the last one passed over.
    passed = redis.call("HGET", P .. "meta", "passed") or ""
    after, picky = passed, true
  end
end
if not q.paused and want > 0 then
  if g and g.by_key then
    ids, taken, gone, cursor, g.plan = pick_by_key(q, g, want, max_bytes, limits, after, g.allow)
    g.turns = g.turns - g.plan.spent
  else
    ids, taken, gone, left, cursor = pick(q, want, max_bytes, limits, after, g and g.allow, picky)
  end
end
left = left or redis.call("ZCARD", P .. "waiting") - #ids - #gone
local startable, more = left > 0, false
if g then
  startable, next_due = outlook(q, g, #ids, left, next_due)
  more = g.more or limits == "" and cursor ~= ""
end

local states, unroutable = {}, {}
if sides > 0 then
  states = ids[1] and redis.call("HMGET", P .. "state", unpack(ids)) or states
  unroutable = redis.call("HRANDFIELD", P .. "unroutable.names", 128)
end
if gone[1] then
  leave(q, gone)
  redis.call("HINCRBY", P .. "stats", "ghosts", #gone)
  for i = 1, g and g.by_key and #g.plan.ghosts or 0 do
    local key, id = g.plan.ghosts[i][1], g.plan.ghosts[i][2]
    redis.call("ZREM", P .. "k:" .. key, id)
  end
end
local alarm, idle = -1, free > #ids
if idle then
  redis.call("ZADD", P .. "idle", q.ms * 1024 + math.min(free - #ids, 1023), owner)
  if next_due then
    local held = redis.call("HMGET", P .. "meta", "alarm", "alarm_owner")
    local current = tonumber(held[1] or 0)
    if next_due < current or current < q.ms or held[2] == owner then
      redis.call("HSET", P .. "meta", "alarm", next_due, "alarm_owner", owner)
      alarm = math.max(next_due - q.ms, 0)
    end
  end
else
  redis.call("ZREM", P .. "idle", owner)
end
-- Of what was promoted here the others need only hear what this owner left; a claim that leaves work wakes one more.
q.need = startable and math.min(left, math.max(promoted, idle and 0 or 1)) or 0
if g and not idle and not startable and next_due then
  -- Who has a slot for it sets the alarm for what is held back.
  rearm(q, next_due)
end
local fence = math.max(q.stamp + 1, q.now)
if ids[1] then
  q.stamp = fence + #ids - 1
  q.active = q.active + #ids
  tell(q, "active", ids, taken, states)
end
-- The fence of a claim that takes nothing may be the next one's.
local first, now = string.format("%.0f", fence), string.format("%.0f", q.now)
remember(q, session, seq, ids[1] and string.format("%s %.0f", first, fence + #ids - 1) or "1 0")
if g and limits == "" and cursor ~= passed and not g.by_key then
  q.fields[#q.fields + 1], q.fields[#q.fields + 2] = "passed", cursor
end
if ticks then
  q.fields[#q.fields + 1], q.fields[#q.fields + 2] = "sched", q.sched
end
save(q)
-- The jobs move last: whatever failed before, they still wait.
if ids[1] then
  redis.call("ZADD", active, unpack(numbered(fence, ids)))
  leave(q, ids, taken)
  started(q, ids, taken)
end
if g and g.by_key then
  advance(q, g.plan)
end
more = more or startable and ids[1]
return { ids, taken, first, now, states, alarm, q.paused and 1 or 0, unroutable, left, cursor, more and 1 or 0, ticks and 1 or 0 }
