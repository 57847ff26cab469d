--- Mends what the checker found broken, if it is still broken now: what holds by now is left alone, so a second call does nothing.
-- PREFIX: P
-- ARGV: code:str
-- REST: what the breach is about: ids of jobs, or owners, sessions, names of keys or homes (at most 128)
-- RETURNS: one character of each: 1 mended, 0 it holds by now, - it is broken and no script can mend it
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record history ready_at score to_ready leave follow left_behind let_wait forget weight has unique_of succeed told_menders flow_menders schedule schedule_write schedule_head schedule_watch recount
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local owners = redis.call("ZRANGE", P .. "owners", 0, -1)
-- Where a job is, the home first that counts if there are several: an end stands, and what runs is not run twice.
local function homes_of(id)
  local found = {}
  for _, home in ipairs({ "completed", "failed", "cancelled", "expired" }) do
    found[#found + 1] = redis.call("ZSCORE", P .. home, id) and home or nil
  end
  for i = 1, #owners do
    found[#found + 1] = redis.call("ZSCORE", P .. "active:" .. owners[i], id) and "active:" .. owners[i] or nil
  end
  for _, home in ipairs({ "waiting", "delayed", "unroutable", "blocked" }) do
    found[#found + 1] = redis.call("ZSCORE", P .. home, id) and home or nil
  end
  return found
end
local function take_out(id, home)
  if home == "waiting" then
    leave(q, { id })
  else
    redis.call("ZREM", P .. home, id)
  end
end
local ends = { completed = true, failed = true, cancelled = true, expired = true }
local function is_flagged(rec, flag)
  return has(string.byte(rec, 2), flag)
end
local function raise_stamp(at)
  q.stamp = math.max(q.stamp, at or 0)
  return at ~= nil and at > q.stored
end
-- The claims that come next undo all indexes by key, and make them anew in bounded steps.
local function index_anew()
  if not q.flow or q.flow.index ~= 2 then
    return false
  end
  q.flow.index = 3
  return true
end
local menders = {
  keyed = index_anew,
  ring = function(key)
    local done = index_anew()
    if q.flow and q.flow.index == 3 then
      redis.call("UNLINK", P .. "k:" .. key)
    end
    return done
  end,
  slots = index_anew,
  ghost = function(id, rec)
    local found = homes_of(id)
    if rec or not found[1] then
      return false
    end
    for i = 1, #found do
      take_out(id, found[i])
    end
    redis.call("HINCRBY", P .. "stats", "ghosts", 1)
    return true
  end,
  homeless = function(id, rec)
    if not rec or homes_of(id)[1] then
      return false
    end
    if redis.call("HEXISTS", P .. "result", id) == 1 then
      -- It has ended, and was not kept.
      follow(q, { id }, "finished", { redis.call("HGET", P .. "result", id) })
      forget(q, { id }, false, false)
      return true
    end
    local _, priority, stamp, due_ms = record(rec)
    local _, _, _, _, again = history(redis.call("HGET", P .. "state", id))
    to_ready(q, { score(q, ready_at(stamp, due_ms, again), priority), id })
    return true
  end,
  two_homes = function(id)
    local found = homes_of(id)
    for i = 2, #found do
      take_out(id, found[i])
    end
    return #found > 1
  end,
  fence = function(id)
    local highest
    for i = 1, #owners do
      local fence = redis.call("ZSCORE", P .. "active:" .. owners[i], id)
      highest = fence and tonumber(fence) or highest
    end
    return raise_stamp(highest)
  end,
  stamp = function(_, rec)
    local stamp
    if rec then
      _, _, stamp = record(rec)
    end
    return raise_stamp(stamp)
  end,
  owner = function(owner)
    -- At -1 it counts as dead with jobs left, and whoever serves the queue gives them back.
    local deadline = redis.call("ZSCORE", P .. "owners", owner)
    if (deadline and tonumber(deadline) >= -1) or redis.call("EXISTS", P .. "active:" .. owner) == 0 then
      return false
    end
    redis.call("ZADD", P .. "owners", -1, owner)
    return true
  end,
  idle = function(owner)
    local deadline = redis.call("ZSCORE", P .. "owners", owner)
    return (not deadline or tonumber(deadline) < 0) and redis.call("ZREM", P .. "idle", owner) == 1
  end,
  result = function(id)
    local home = homes_of(id)[1]
    return not ends[home]
      and not redis.call("ZSCORE", P .. "result.due", id)
      and redis.call("HDEL", P .. "result", id) == 1
  end,
  result_due = function(id)
    return redis.call("HEXISTS", P .. "result", id) == 0 and redis.call("ZREM", P .. "result.due", id) == 1
  end,
  leftover = function(id, rec)
    local n = 0
    for _, key in ipairs(rec and {} or { "state", "history", "progress", "checkpoint" }) do
      n = n + redis.call("HDEL", P .. key, id)
    end
    if not rec and redis.call("HEXISTS", P .. "result", id) == 0 and redis.call("HEXISTS", P .. "trash.logs", id) == 0 then
      n = n + redis.call("HDEL", P .. "logs", id) + redis.call("UNLINK", P .. "log:" .. id)
    end
    return n + left_behind(q, id, rec) > 0
  end,
  waiter = function(id, rec)
    local home = rec and homes_of(id)[1] or "completed"
    return ends[home] == true and redis.call("HDEL", P .. "waiters", id) == 1
  end,
  cancel = function(id)
    local _, _, _, asked = history(redis.call("HGET", P .. "state", id))
    local fence
    for i = 1, #owners do
      fence = redis.call("ZSCORE", P .. "active:" .. owners[i], id) or fence
    end
    if fence and asked == 1 then
      local wrong = redis.call("HGET", P .. "cancels", id) ~= fence
      redis.call("HSET", P .. "cancels", id, fence)
      return wrong
    end
    return redis.call("HDEL", P .. "cancels", id) == 1
  end,
  own_id = function(id, rec)
    local own, till = rec and is_flagged(rec, 1), redis.call("ZSCORE", P .. "tomb", id)
    if own == (till == "inf") or (not own and not till) then
      return false
    end
    -- What is gone stays known for as long as if it went now.
    redis.call("ZADD", P .. "tomb", own and "inf" or string.format("%.0f", q.ms + 86400000), id)
    return true
  end,
  envelope = function(id, rec)
    if rec and is_flagged(rec, 2) then
      return redis.call("EXISTS", P .. "big:" .. id) == 0 and nil
    end
    return redis.call("UNLINK", P .. "big:" .. id) == 1
  end,
  expiring = function(id, rec)
    local home, at = homes_of(id)[1] or "", tonumber(redis.call("ZSCORE", P .. "expiring", id))
    local waits = home == "waiting" or home == "delayed" or home == "unroutable" or home == "blocked"
    if not (at and rec and waits and is_flagged(rec, 4)) then
      return redis.call("ZREM", P .. "expiring", id) == 1
    end
    local expiry = struct.unpack(">I8", rec, 25)
    redis.call("ZADD", P .. "expiring", expiry, id)
    return at ~= expiry
  end,
  unique = function(key)
    local function mode_of(id)
      local rec = id and redis.call("HGET", P .. "rec", id)
      if rec and is_flagged(rec, 16) then
        local mode, own = unique_of(rec)
        return own == key and mode or nil
      end
    end
    local holder, behind = redis.call("HGET", P .. "uniq", key), redis.call("HGET", P .. "uniq.next", key)
    local till = redis.call("ZSCORE", P .. "uniq.due", key)
    if behind and not (mode_of(behind) and redis.call("ZSCORE", P .. "blocked", behind)) then
      redis.call("HDEL", P .. "uniq.next", key)
      return true
    end
    local mode, home = mode_of(holder), holder and homes_of(holder)[1]
    local holds = mode and not ends[home] and not (mode == "s" and string.sub(home or "", 1, 7) == "active:")
    if holder and not holds and not till then
      redis.call("HDEL", P .. "uniq", key)
      if behind then
        succeed(q, { key, behind })
      end
      return true
    end
    return not holder and till ~= false and redis.call("ZREM", P .. "uniq.due", key) == 1
  end,
  blocked = function(id, rec)
    local waits = let_wait(q, id, rec)
    if waits ~= nil then
      return waits
    end
    local _, key
    if rec and is_flagged(rec, 16) then
      _, key = unique_of(rec)
    end
    local behind = key and redis.call("HGET", P .. "uniq.next", key)
    local holder = key and redis.call("HGET", P .. "uniq", key)
    if not key or not redis.call("ZSCORE", P .. "blocked", id) or (holder and behind == id) then
      return false
    elseif not holder then
      succeed(q, { key, id })
      return true
    elseif behind then
      return nil
    end
    redis.call("HSET", P .. "uniq.next", key, id)
    return true
  end,
  session = function(session)
    local known = redis.call("ZSCORE", P .. "sessions", session)
    if known or redis.call("HEXISTS", P .. "meta", "session:" .. session) == 0 then
      return false
    end
    redis.call("ZADD", P .. "sessions", q.ms, session)
    return true
  end,
  key_ttl = function(key)
    return redis.call("PERSIST", P .. key) == 1
  end,
  bytes = function(home)
    if redis.call("ZCARD", P .. home) > 1000 then
      return nil
    end
    local bytes, sizes = 0, weight(P, redis.call("ZRANGE", P .. home, 0, -1))
    for i = 1, #sizes do
      bytes = bytes + sizes[i]
    end
    local wrong = bytes ~= tonumber(redis.call("HGET", P .. "meta", "bytes:" .. home) or 0)
    redis.call("HSET", P .. "meta", "bytes:" .. home, bytes)
    return wrong
  end,
  parked = function(name)
    local ids, n = redis.call("ZRANGE", P .. "unroutable", 0, 500), 0
    if #ids > 500 then
      return nil
    end
    for i = 1, #ids do
      local rec = redis.call("HGET", P .. "rec", ids[i])
      local its = rec and select(5, record(rec))
      n = its == name and n + 1 or n
    end
    return recount(P .. "unroutable.names", name, n)
  end,
  schedule = function(id)
    local s, row = schedule(redis.call("HGET", P .. "sched.state", id)), redis.call("HEXISTS", P .. "sched.rows", id) == 1
    local place = tonumber(redis.call("ZSCORE", P .. "sched", id) or nil)
    local fires, head = s and s.status == 1 and s.next > 0, q.sched
    local wrong = not (s and row and place and fires == (place < 9007199254740991))
    if wrong and s and row then
      schedule_write(q, id, s, s.next)
    elseif wrong then
      -- Without a row nobody knows what it would send, without a state not when.
      redis.call("ZREM", P .. "sched", id)
      redis.call("HDEL", P .. "sched.rows", id)
      redis.call("HDEL", P .. "sched.state", id)
      redis.call("HDEL", P .. "sched.notes", id)
    end
    if wrong and (id ~= "" or head == 0) then
      schedule_head(q)
    end
    return wrong and (id ~= "" or #q.fields > 0)
  end,
  watched = function(id, rec)
    local home = rec and homes_of(id)[1] or "completed"
    if not ends[home] or redis.call("HEXISTS", P .. "sched.watch", id) == 0 then
      return false
    end
    schedule_watch(q, { id }, "removed")
    return true
  end,
  totals = function()
    local sums, stats = {}, redis.call("HGETALL", P .. "stats")
    for i = 1, #stats, 2 do
      local total = string.match(stats[i], "^[^:]+")
      sums[total] = (sums[total] or 0) + stats[i + 1]
    end
    local missing = (sums.added or 0) + (sums.replayed or 0)
    for _, home in ipairs({ "completed", "failed", "cancelled", "expired", "removed" }) do
      missing = missing - (sums[home] or 0)
    end
    for _, home in ipairs({ "waiting", "delayed", "unroutable", "blocked" }) do
      missing = missing - redis.call("ZCARD", P .. home)
    end
    for i = 1, #owners do
      missing = missing - redis.call("ZCARD", P .. "active:" .. owners[i])
    end
    if missing ~= 0 then
      redis.call("HINCRBY", P .. "stats", "removed", missing)
    end
    return missing ~= 0
  end,
}
for _, others in ipairs({ told_menders(q), flow_menders(q, homes_of) }) do
  for name, mender in pairs(others) do
    menders[name] = mender
  end
end
local of_keys = {}
local plain = "ring slots unique owner idle session key_ttl bytes parked totals schedule measure stream applied stuck letters"
for name in string.gmatch(plain, "%S+") do
  of_keys[name] = true
end
local mend, verdicts, mended = menders[code], {}, 0
for i = 2, #ARGV do
  local rec = mend and not of_keys[code] and redis.call("HGET", P .. "rec", ARGV[i])
  local done
  if mend then
    done = mend(ARGV[i], rec)
  end
  verdicts[i - 1] = done and "1" or done == false and "0" or "-"
  mended = mended + (done and 1 or 0)
end
if mended > 0 then
  local name = code
  redis.call("HINCRBY", P .. "stats", "mended:" .. name, mended)
end
save(q)
return table.concat(verdicts)
