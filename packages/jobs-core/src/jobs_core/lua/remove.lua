--- Removes jobs from whatever home they are in; an active one is refused.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: for each: 1 removed, 0 not known, or "active"; fewer than asked for when they are large (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound homes drop drop_logs let_go take_out weight within
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
if not ARGV[1] then
  return {}
end
local asked = within(P, { unpack(ARGV) })
asked = within(P, asked, weight(P, asked))
local states = homes(P, asked)
local verdicts, groups, seen, live = {}, {}, {}, {}
local waits = { waiting = true, delayed = true, unroutable = true, blocked = true }
for i = 1, #asked do
  local id, state = asked[i], states[i]
  if state == "" or seen[id] then
    verdicts[i] = "0"
  elseif state == "active" then
    verdicts[i] = "active"
  else
    groups[state] = groups[state] or {}
    table.insert(groups[state], id)
    live[#live + 1] = waits[state] and id or nil
    seen[id] = true
    verdicts[i] = "1"
  end
end
-- All let go at once: of two with one unique key the one behind must not come after the other.
if live[1] then
  let_go(q, live, false)
end
for state, ids in pairs(groups) do
  if state == "finished" then
    redis.call("HDEL", P .. "result", unpack(ids))
    redis.call("ZREM", P .. "result.due", unpack(ids))
    drop_logs(q, ids)
  elseif state == "completed" or state == "failed" or state == "cancelled" or state == "expired" then
    drop(q, state, ids)
  else
    take_out(q, state, ids)
  end
end
save(q)
return verdicts
