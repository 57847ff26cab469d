--- Removes waiting jobs, or delayed ones, the next first and at most `limit` (500, or 512 KiB) a call; active ones are never touched.
-- PREFIX: P
-- ARGV: home:str limit:int
-- RETURNS: jobs removed, jobs left in that home
-- ERRORS: SCHEMA, BAD_HOME, WRONGTYPE
-- INCLUDE: open save unsound forget notify follow leave let_go tell weight within
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
if home ~= "waiting" and home ~= "delayed" then
  return redis.error_reply("BAD_HOME " .. home)
end
-- Below their keys jobs are taken away one by one.
local most = q.flow and q.flow.index % 3 ~= 0 and 250 or 500
local ids = limit > 0 and within(P, redis.call("ZRANGE", P .. home, 0, math.min(limit, most) - 1)) or {}
ids = within(P, ids, weight(P, ids))
if ids[1] then
  tell(q, "removed", ids, {}, {}, true)
  notify(q, ids, "removed")
  follow(q, ids, "removed", {})
  let_go(q, ids, false)
  if home == "waiting" then
    leave(q, ids)
  else
    redis.call("ZREM", P .. home, unpack(ids))
  end
  forget(q, ids, false, false)
  redis.call("HINCRBY", P .. "stats", "removed", #ids)
end
save(q)
return { #ids, redis.call("ZCARD", P .. home) }
