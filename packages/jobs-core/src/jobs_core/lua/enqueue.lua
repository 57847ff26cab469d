--- Adds jobs: each lands in `waiting`, or in `delayed` until it is due. All of a call are added in one step.
-- PREFIX: P
-- ARGV: session:str seq:int
-- REST: id, delay_ms, run_at_ms, record (header and envelope) of each job
-- RETURNS: one character a job: 1 created, 0 its id was already known
-- ERRORS: SCHEMA, STALE, TOO_LARGE, TOO_MANY, BAD_RECORD
-- INCLUDE: open save session remember score to_ready rearm
local q = open(P, session)
if q.err then
  return q
end
local known, err = session_verdict(q, session, seq)
if known or err then
  return known or err
end
if #ARGV > 4002 then
  return redis.error_reply("TOO_MANY jobs in one call")
end
local sub, byte, pack = string.sub, string.byte, struct.pack
local own, tombs = {}, {}
for i = 3, #ARGV, 4 do
  local rec = ARGV[i + 3]
  if #rec > 1310720 then
    return redis.error_reply("TOO_LARGE " .. ARGV[i])
  end
  if (byte(rec, 2) or 0) % 2 == 1 then
    own[#own + 1] = ARGV[i]
  end
end
if own[1] then
  local till = redis.call("ZMSCORE", P .. "tomb", unpack(own))
  for i = 1, #own do
    tombs[own[i]] = till[i] and tonumber(till[i]) > q.ms
  end
end

-- This loop is most of what an enqueue costs: it reads single bytes of the header, and builds no more strings than it stores.
local verdicts, recs, bigs, ready, delayed, added = {}, {}, {}, {}, {}, {}
local fresh, alive = {}, {}
local stamp = math.max(q.stamp + 1, q.now)
local stored, first_due = 0, nil
for i = 3, #ARGV, 4 do
  local id, rec = ARGV[i], ARGV[i + 3]
  local flags, _, priority = byte(rec, 2, 4)
  local name_len, key_len, unique_high, unique_low = byte(rec, 21, 24)
  local head = unique_low and 36 + name_len + key_len + unique_high * 256 + unique_low or #rec + 1
  if head > #rec or priority < 1 or priority > 5 then
    return redis.error_reply("BAD_RECORD " .. id)
  end
  if tombs[id] then
    verdicts[#verdicts + 1] = "0"
  else
    if flags % 2 == 1 then
      tombs[id] = true
      fresh[#fresh + 1] = id
      alive[#alive + 1] = "inf"
      alive[#alive + 1] = id
    end
    local due = 0
    if ARGV[i + 2] ~= "0" then
      due = tonumber(ARGV[i + 2])
    elseif ARGV[i + 1] ~= "0" then
      due = q.ms + tonumber(ARGV[i + 1])
    end
    if due <= q.ms then
      due = 0
    end
    recs[stored + 1] = id
    if #rec > 65536 then
      bigs[#bigs + 1] = P .. "big:" .. id
      bigs[#bigs + 1] = sub(rec, head + 1)
      recs[stored + 2] = pack(">BBBBI8I8", 1, flags + 2, byte(rec, 3), priority, stamp, due) .. sub(rec, 21, head)
    else
      recs[stored + 2] = sub(rec, 1, 4) .. pack(">I8I8", stamp, due) .. sub(rec, 21)
    end
    stored = stored + 2
    if due > 0 then
      delayed[#delayed + 1] = due * 16 + priority
      delayed[#delayed + 1] = id
      first_due = math.min(first_due or due, due)
    else
      local n = #ready
      ready[n + 1] = score(q, stamp, priority)
      ready[n + 2] = id
    end
    local name = sub(rec, 37, 36 + name_len)
    added[name] = (added[name] or 0) + 1
    stamp = stamp + 1
    verdicts[#verdicts + 1] = "1"
  end
end

local verdict = table.concat(verdicts)
remember(q, session, seq, verdict)
if recs[1] then
  if fresh[1] then
    -- What was told of an earlier job of the same id ends with it.
    redis.call("HDEL", P .. "result", unpack(fresh))
    redis.call("ZREM", P .. "result.due", unpack(fresh))
  end
  to_ready(q, ready)
  if delayed[1] then
    redis.call("ZADD", P .. "delayed", unpack(delayed))
    rearm(q, first_due)
  end
  redis.call("HSET", P .. "rec", unpack(recs))
  if bigs[1] then
    redis.call("MSET", unpack(bigs))
  end
  if alive[1] then
    redis.call("ZADD", P .. "tomb", unpack(alive))
  end
  q.stamp = stamp - 1
end
save(q)
for name, n in pairs(added) do
  redis.call("HINCRBY", P .. "stats", "added:" .. name, n)
end
return verdict
