--- Looks at many queues without changing anything: what an idle worker asks once a second, and what counts are made of.
-- KEYS: prefixes
-- RETURNS: for each queue: waiting, delayed, unroutable, ms until the next due job (-1: none), paused, idle owners, ms until the first lease ends (-1: none), entries in the outbox, 1 if a claim may find something to start, deliveries asked to stop, 1 if schedules are due
-- INCLUDE: clock flow
-- FLAGS: no-writes
local ms = math.floor(clock() / 1000)
local out = {}
for i = 1, #KEYS do
  local P = KEYS[i]
  local head = redis.call("ZRANGE", P .. "delayed", 0, 0, "WITHSCORES")
  local meta = redis.call("HMGET", P .. "meta", "lease", "seen", "flow", "sched")
  local lease = redis.call("ZRANGEBYSCORE", P .. "owners", -1, "+inf", "WITHSCORES", "LIMIT", 0, 1)
  local ends = -1
  if lease[1] then
    local observed = math.min(math.max(ms - (tonumber(meta[2]) or 0), 0), 5000)
    ends = math.max(lease[2] - (tonumber(meta[1]) or 0) - observed, 0)
  end
  local pause = redis.call("HMGET", P .. "cfg", "paused", "paused_until")
  local till = tonumber(pause[2] or 0) or 0
  local paused = (pause[1] or "") ~= "" and (till == 0 or till > ms)
  local waiting, due = redis.call("ZCARD", P .. "waiting"), head[1] and math.floor(head[2] / 16)
  local startable = waiting > 0 and not paused
  if meta[3] and startable then
    -- Jobs that wait for a slot, a token or their key are no reason to claim.
    local f = flow(meta[3])
    local held = math.max(f.held, f.limited)
    if held > ms then
      startable, due = false, math.min(due or held, held)
    end
    if f.full == 1 then
      startable = false
    elseif f.index == 2 then
      local parked = redis.call("ZRANGE", P .. "kparked", 0, 0, "WITHSCORES")
      local at = math.ceil(tonumber(parked[2] or math.huge))
      if at < math.huge then
        due = math.min(due or at, math.max(at, ms))
      end
      startable = startable and (at <= ms or f.rules < 0 or redis.call("EXISTS", P .. "ring") == 1)
    end
  end
  local sched = tonumber(meta[4]) or 0
  if sched > 0 then
    due = math.min(due or sched, sched)
  end
  out[i] = {
    waiting,
    redis.call("ZCARD", P .. "delayed"),
    redis.call("ZCARD", P .. "unroutable"),
    due and math.max(due - ms, 0) or -1,
    paused and 1 or 0,
    redis.call("ZCARD", P .. "idle"),
    ends,
    redis.call("XLEN", P .. "out"),
    startable and 1 or 0,
    redis.call("HLEN", P .. "cancels"),
    sched > 0 and sched <= ms and 1 or 0,
  }
end
return out
