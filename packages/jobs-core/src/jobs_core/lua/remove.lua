--- Removes jobs from whatever home they are in; an active one is refused.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: for each: 1 removed, 0 not known, or "active"
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record homes drop drop_logs forget notify unpark leave let_go tell
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
local verdicts, groups, seen, live = {}, {}, {}, {}
local waits = { waiting = true, delayed = true, unroutable = true, blocked = true }
for i = 1, #ARGV do
  local id, state = ARGV[i], states[i]
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
    local recs = redis.call("HMGET", P .. "rec", unpack(ids))
    tell(q, "removed", ids, recs, {}, true)
    if state == "unroutable" then
      local counts = {}
      for i = 1, #ids do
        local _, _, _, _, name = record(recs[i] or string.rep("\0", 36))
        counts[name] = (counts[name] or 0) + 1
      end
      unpark(q, counts)
    end
    notify(q, ids, "removed")
    if state == "waiting" then
      leave(q, ids)
    else
      redis.call("ZREM", P .. state, unpack(ids))
    end
    forget(q, ids, false, false)
    redis.call("HINCRBY", P .. "stats", "removed", #ids)
  end
end
save(q)
return verdicts
