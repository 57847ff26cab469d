--- Gives waiting or delayed jobs another priority; their places follow.
-- PREFIX: P
-- ARGV: priority:int
-- REST: ids (at most 128)
-- RETURNS: for each: 1 changed, 0 not known, or the state it is in instead; fewer than asked for when they are large (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record history ready_at score homes to_ready tell
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local verdicts, bytes, at = {}, 0, 2
local names, changed, known = {}, {}, {}
while ARGV[at] and bytes < 524288 do
  local ids = { unpack(ARGV, at, math.min(at + 7, #ARGV)) }
  at = at + #ids
  local states = homes(P, ids)
  local recs, entries = redis.call("HMGET", P .. "rec", unpack(ids)), redis.call("HMGET", P .. "state", unpack(ids))
  local moved, pairs, seen = {}, {}, {}
  for i = 1, #ids do
    local id, rec, state = ids[i], recs[i], states[i]
    verdicts[#verdicts + 1] = state == "" and "0" or state
    if rec and not seen[id] and (state == "waiting" or state == "delayed") then
      seen[id] = true
      verdicts[#verdicts] = "1"
      bytes = bytes + #rec
      local _, _, stamp, due = record(rec)
      local other = table.concat({ string.sub(rec, 1, 3), string.char(priority), string.sub(rec, 5) })
      redis.call("HSET", P .. "rec", id, other)
      names[#names + 1], changed[#names + 1], known[#names + 1] = id, string.sub(rec, 1, 292), entries[i]
      if state == "waiting" then
        local _, _, _, _, again = history(entries[i])
        moved[#moved + 1] = other
        pairs[#pairs + 1] = score(q, ready_at(stamp, due, again), priority)
        pairs[#pairs + 1] = id
      else
        local packed = tonumber(redis.call("ZSCORE", P .. "delayed", id))
        redis.call("ZADD", P .. "delayed", packed - packed % 16 + priority, id)
      end
    elseif seen[id] then
      verdicts[#verdicts] = "1"
    end
  end
  if moved[1] then
    to_ready(q, pairs, moved)
  end
end
tell(q, "reprioritized", names, changed, known, true, string.format("%.0f", priority))
-- Nothing came that did not wait before.
q.need = 0
save(q)
return verdicts
