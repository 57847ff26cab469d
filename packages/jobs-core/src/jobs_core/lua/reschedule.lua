--- Gives waiting or delayed jobs another due time; one that is not to come counts as ready now.
-- PREFIX: P
-- ARGV: delay_ms:int run_at_ms:int
-- REST: ids (at most 128)
-- RETURNS: for each: 1 changed, 0 not known, or the state it is in instead; fewer than asked for when they are large (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record history score leave to_ready rearm tell unstarted by_key unhold
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local due = math.max(run_at_ms > 0 and run_at_ms or q.ms + delay_ms, q.ms)
local waited, old, delayed, all, ready, late, kept = {}, {}, {}, {}, {}, {}, {}
local keyed, fifo = q.flow and q.flow.index % 3 ~= 0, redis.call("HGET", P .. "cfg", "fifo") == "1"
local function change(id, rec, state, entry)
  local flags, priority, stamp, before = record(rec)
  local expires = flags % 8 >= 4 and redis.call("ZSCORE", P .. "expiring", id)
  local till = struct.unpack(">I8", rec, 25)
  if expires then
    -- How long it may wait counts from when it is first ready, so its end moves along.
    local ready_ms = before > 0 and before or math.floor(stamp / 1000)
    till = till + due - ready_ms
    redis.call("ZADD", P .. "expiring", till, id)
  end
  if expires or fifo then
    -- Where keys are strict its place in the line of its key is that of its due time.
    local times = { struct.pack(">I8", due), struct.pack(">I8", till) }
    rec = table.concat({ string.sub(rec, 1, 12), times[1], string.sub(rec, 21, 24), times[2], string.sub(rec, 33) })
    redis.call("HSET", P .. "rec", id, rec)
  end
  local attempts, crashes, releases, cancel = history(entry)
  if state == "waiting" then
    waited[#waited + 1], old[#old + 1] = id, rec
  else
    delayed[#delayed + 1] = id
  end
  all[#all + 1] = rec
  ready[#ready + 1], ready[#ready + 2] = score(q, due * 1000, priority), id
  late[#late + 1], late[#late + 2] = due * 16 + priority, id
  kept[#kept + 1], kept[#kept + 2] = id, struct.pack(">I4I4I4BI8", attempts, crashes, releases, cancel, due)
end
local function step()
  if kept[1] then
    -- The new home comes before the old one is left.
    if due > q.ms then
      redis.call("ZADD", P .. "delayed", unpack(late))
      rearm(q, due)
      if waited[1] then
        leave(q, waited, old)
      end
    else
      if keyed and waited[1] then
        local keys, groups = by_key(q, waited, old)
        if keys[1] then
          unhold(q, keys, groups, redis.call("ZMSCORE", P .. "kparked", unpack(keys)))
        end
      end
      to_ready(q, ready, all)
      if delayed[1] then
        redis.call("ZREM", P .. "delayed", unpack(delayed))
      end
    end
    redis.call("HSET", P .. "state", unpack(kept))
  end
  waited, old, delayed, all, ready, late, kept = {}, {}, {}, {}, {}, {}, {}
end
local verdicts, changed, heads, known = unstarted(q, 3, change, step)
tell(q, "rescheduled", changed, heads, known, true, string.format("%.0f", due))
save(q)
return verdicts
