--- Puts failed jobs back to `waiting` with fresh budgets; priority and history stay.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: for each: 1 put back, 0 not known, or the state it is in instead
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record score to_ready homes weight
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
if not ARGV[1] then
  return {}
end
local states = homes(P, ARGV)
local recs = redis.call("HMGET", P .. "rec", unpack(ARGV))
local verdicts, pairs, ids, entries, bytes, seen = {}, {}, {}, {}, 0, {}
for i = 1, #ARGV do
  local id = ARGV[i]
  if states[i] == "failed" and recs[i] and not seen[id] then
    local _, priority = record(recs[i])
    seen[id] = true
    ids[#ids + 1] = id
    pairs[#pairs + 1] = score(q, q.ms * 1000, priority)
    pairs[#pairs + 1] = id
    entries[#entries + 1] = id
    entries[#entries + 1] = struct.pack(">I4I4I4BI8", 0, 0, 0, 0, q.ms)
    bytes = bytes + weight(P, id)
    verdicts[i] = "1"
  else
    verdicts[i] = seen[id] and "waiting" or states[i] == "" and "0" or states[i]
  end
end
if ids[1] then
  to_ready(q, pairs)
  redis.call("HSET", P .. "state", unpack(entries))
  redis.call("HDEL", P .. "result", unpack(ids))
  redis.call("ZREM", P .. "result.due", unpack(ids))
  redis.call("ZREM", P .. "failed", unpack(ids))
  redis.call("HINCRBY", P .. "meta", "bytes:failed", 0 - bytes)
  redis.call("HINCRBY", P .. "stats", "replayed", #ids)
end
save(q)
return verdicts
