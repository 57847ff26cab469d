--- Promotes delayed jobs: those that are due, at most 128, or the named ones at once (at most 128 or 512 KiB); without names it also ends what expired.
-- PREFIX: P
-- REST: ids to promote whether due or not (at most 128)
-- RETURNS: jobs promoted, ms until the next due job (-1: none), how many of the named were looked at (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound sweep due history score to_ready review tell within
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local function promote(names)
  local scores = redis.call("ZMSCORE", P .. "delayed", unpack(names))
  local states = redis.call("HMGET", P .. "state", unpack(names))
  local ids, pairs, entries, seen = {}, {}, {}, {}
  local fifo, recs, renewed = redis.call("HGET", P .. "cfg", "fifo") == "1", nil, {}
  for i = 1, #names do
    if scores[i] and not seen[names[i]] then
      local attempts, crashes, releases, cancel = history(states[i])
      seen[names[i]] = true
      ids[#ids + 1] = names[i]
      pairs[#pairs + 1] = score(q, q.ms * 1000, scores[i] % 16)
      pairs[#pairs + 1] = names[i]
      -- Its place is that of a job ready now, also when a worker gives it back.
      entries[#entries + 1] = names[i]
      entries[#entries + 1] = struct.pack(">I4I4I4BI8", attempts, crashes, releases, cancel, q.ms)
    end
  end
  if ids[1] then
    if fifo or q.events then
      recs = redis.call("HMGET", P .. "rec", unpack(ids))
    end
    for i = 1, fifo and #ids or 0 do
      -- Where keys are strict its place in the line of its key is that of its due time.
      local rec = recs[i]
      if rec then
        recs[i] = table.concat({ string.sub(rec, 1, 12), struct.pack(">I8", q.ms), string.sub(rec, 21) })
        renewed[#renewed + 1], renewed[#renewed + 2] = ids[i], recs[i]
      end
    end
    to_ready(q, pairs, recs)
    if renewed[1] then
      redis.call("HSET", P .. "rec", unpack(renewed))
    end
    tell(q, "promoted", ids, recs or {}, {}, true)
    redis.call("HSET", P .. "state", unpack(entries))
    redis.call("ZREM", P .. "delayed", unpack(ids))
  end
  return #ids
end
local promoted, next_due
local looked = 0
if ARGV[1] then
  local asked = within(P, { unpack(ARGV) })
  looked = #asked
  promoted = promote(asked)
  local head = redis.call("ZRANGE", P .. "delayed", 0, 0, "WITHSCORES")
  next_due = head[1] and math.floor(head[2] / 16)
else
  local _, next_expiry = sweep(q, 128)
  promoted, next_due = due(q, 128)
  next_due = next_expiry and math.min(next_due or next_expiry, next_expiry) or next_due
  local f = q.flow
  if f then
    -- It is called when an alarm rings where no slot is free: others are woken for what was held back until now.
    if f.index % 3 ~= 0 then
      review(q)
    end
    if redis.call("EXISTS", P .. "waiting") == 1 then
      q.need = math.max(q.need, 1)
    end
  end
end
save(q)
return { promoted, next_due and math.max(next_due - q.ms, 0) or -1, looked }
