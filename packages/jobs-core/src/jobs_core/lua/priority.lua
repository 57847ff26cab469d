--- Gives waiting or delayed jobs another priority; their places follow.
-- PREFIX: P
-- ARGV: priority:int
-- REST: ids (at most 128)
-- RETURNS: for each: 1 changed, 0 not known, or the state it is in instead; fewer than asked for when they are large (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record history ready_at score to_ready tell unstarted
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local moved, pairs = {}, {}
local function change(id, rec, state, entry)
  local _, _, stamp, due = record(rec)
  local other = table.concat({ string.sub(rec, 1, 3), string.char(priority), string.sub(rec, 5) })
  redis.call("HSET", P .. "rec", id, other)
  if state == "waiting" then
    local _, _, _, _, again = history(entry)
    moved[#moved + 1] = other
    pairs[#pairs + 1] = score(q, ready_at(stamp, due, again), priority)
    pairs[#pairs + 1] = id
  else
    local packed = tonumber(redis.call("ZSCORE", P .. "delayed", id))
    redis.call("ZADD", P .. "delayed", packed - packed % 16 + priority, id)
  end
end
local function step()
  to_ready(q, pairs, moved)
  moved, pairs = {}, {}
end
local verdicts, changed, heads, known = unstarted(q, 2, change, step)
tell(q, "reprioritized", changed, heads, known, true, string.format("%.0f", priority))
-- Nothing came that did not wait before.
q.need = 0
save(q)
return verdicts
