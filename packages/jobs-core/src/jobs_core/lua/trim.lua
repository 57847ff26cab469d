--- Removes what has outlived its time, at most 500 of each kind a call: results, retained jobs, remembered ids, idle sessions, dead owners.
-- PREFIX: P
-- RETURNS: entries removed
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound drop
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local n = 0
local over = redis.call("ZRANGEBYSCORE", P .. "result.due", "-inf", q.ms, "LIMIT", 0, 500)
for i = 1, #over do
  local id = over[i]
  local home
  for _, name in ipairs({ "completed", "failed", "cancelled", "expired" }) do
    if redis.call("ZSCORE", P .. name, id) then
      home = name
    end
  end
  if home then
    drop(q, home, { id })
  else
    redis.call("HDEL", P .. "result", id)
    redis.call("ZREM", P .. "result.due", id)
  end
end
n = n + #over
local tombs = redis.call("ZRANGEBYSCORE", P .. "tomb", "-inf", q.ms, "LIMIT", 0, 500)
if tombs[1] then
  n = n + redis.call("ZREM", P .. "tomb", unpack(tombs))
end
-- A session is entered once, at its first call; when its hour is over its last use decides.
local sessions = redis.call("ZRANGEBYSCORE", P .. "sessions", "-inf", q.ms - 3600000, "LIMIT", 0, 500)
for i = 1, #sessions do
  local kept = redis.call("HGET", P .. "meta", "session:" .. sessions[i])
  local used = kept and tonumber(string.match(kept, "^%d+ (%d+)")) or 0
  if used > q.ms - 3600000 then
    redis.call("ZADD", P .. "sessions", used, sessions[i])
  else
    redis.call("HDEL", P .. "meta", "session:" .. sessions[i])
    redis.call("ZREM", P .. "sessions", sessions[i])
    n = n + 1
  end
end
local dead = redis.call("ZRANGEBYSCORE", P .. "owners", -(q.ms - 600000), "(-1", "LIMIT", 0, 500)
for i = 1, #dead do
  if redis.call("EXISTS", P .. "active:" .. dead[i]) == 0 then
    n = n + redis.call("ZREM", P .. "owners", dead[i])
  end
end
save(q)
return n
