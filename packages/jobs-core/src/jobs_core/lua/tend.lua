--- Looks after a queue that perhaps no worker serves: ends what expired, goes on with flows that were left behind, tells of what was obliterated.
-- PREFIX: P
-- RETURNS: 1 if there is more to do now, entries in the outbox
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound sweep flows_due empty_trash
-- FLAGS: allow-oom
local keys = { P .. "expiring", P .. "flows.due", P .. "flows.ended", P .. "early" }
for _, name in ipairs({ "rec", "waiters", "logs", "follows", "flows", "flows.ended", "joins", "early" }) do
  keys[#keys + 1] = table.concat({ P, "trash.", name })
end
if redis.call("EXISTS", unpack(keys)) == 0 then
  -- Nearly all queues nearly always.
  return { 0, redis.call("XLEN", P .. "out") }
end
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local expired = sweep(q, 128)
local _, left = empty_trash(q)
local _, more = flows_due(q)
save(q)
return { (expired == 128 or left > 0 or more) and 1 or 0, redis.call("XLEN", P .. "out") }
