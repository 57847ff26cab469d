--- Puts failed jobs back to `waiting` with fresh budgets, and clears their dead letters; priority and history stay.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: for each: 1 put back, 0 not known, or the state it is in instead; of at most 32 or 512 KiB (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record homes revive retake post tell within
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
if not ARGV[1] then
  return {}
end
local asked = within(P, { unpack(ARGV, 1, math.min(#ARGV, 32)) })
local states = homes(P, asked)
local recs = redis.call("HMGET", P .. "rec", unpack(asked))
local ended = redis.call("ZMSCORE", P .. "failed", unpack(asked))
local verdicts, cleared, seen, ids, told = {}, {}, {}, {}, {}
for i = 1, #asked do
  local id = asked[i]
  if states[i] == "failed" and recs[i] and not seen[id] then
    local _, priority = record(recs[i])
    seen[id] = true
    cleared[#cleared + 1] = "clear"
    cleared[#cleared + 1] = revive(q, id, ended[i], priority, recs[i])
    retake(q, id, recs[i])
    ids[#ids + 1] = id
    told[#ids] = recs[i]
    verdicts[i] = "1"
  else
    verdicts[i] = seen[id] and "waiting" or states[i] == "" and "0" or states[i]
  end
end
tell(q, "replayed", ids, told, {}, true)
if cleared[1] and q.letters then
  post(q, "dead-letter", cleared)
end
save(q)
return verdicts
