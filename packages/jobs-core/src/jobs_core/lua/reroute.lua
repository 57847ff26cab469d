--- Moves parked jobs of names that a worker knows from `unroutable` back to `waiting`, looking at no more than 256 or 512 KiB.
-- PREFIX: P
-- ARGV: offset:int
-- REST: name@version the caller can run (`*`: all)
-- RETURNS: jobs moved, jobs looked at (0: the end)
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound record history ready_at score to_ready unpark tell within
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local knows = {}
for i = 2, #ARGV do
  knows[ARGV[i]] = true
end
local parked = within(P, redis.call("ZRANGE", P .. "unroutable", offset, offset + 255))
if not parked[1] then
  return { 0, 0 }
end
local recs = redis.call("HMGET", P .. "rec", unpack(parked))
local states = redis.call("HMGET", P .. "state", unpack(parked))
local ids, pairs, counts, found = {}, {}, {}, {}
for i = 1, #parked do
  if recs[i] then
    local _, priority, stamp, due_ms, name = record(recs[i])
    if knows[name] or knows["*"] then
      local _, _, _, _, again = history(states[i])
      ids[#ids + 1] = parked[i]
      pairs[#pairs + 1] = score(q, ready_at(stamp, due_ms, again), priority)
      pairs[#pairs + 1] = parked[i]
      found[#ids] = recs[i]
      counts[name] = (counts[name] or 0) + 1
    end
  end
end
if ids[1] then
  to_ready(q, pairs, found)
  tell(q, "rerouted", ids, found, {}, true)
  unpark(q, counts)
  redis.call("ZREM", P .. "unroutable", unpack(ids))
end
save(q)
return { #ids, #parked }
