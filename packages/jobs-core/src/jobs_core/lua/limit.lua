--- Sets limits of a queue live, or takes them back: those that are set hold over what code declares, until they are reset.
-- PREFIX: P
-- REST: limit and value pairs: max_active (jobs), rate (max, per_ms, burst), key_active, key_rate; 0 lifts one, "" resets it
-- RETURNS: 1 if anything changed, 0 if all was so already
-- ERRORS: SCHEMA, BAD_LIMIT
-- INCLUDE: open save relax
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
local shapes = { max_active = "^%d+$", key_active = "^%d+$", rate = "^%d+ %d+ %d+$", key_rate = "^%d+ %d+ %d+$" }
for i = 1, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1] or "none"
  if not shapes[name] or value ~= "" and value ~= "0" and not string.match(value, shapes[name]) then
    return redis.error_reply("BAD_LIMIT " .. name)
  end
end
local changed = 0
for i = 1, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  local before = redis.call("HGET", P .. "cfg", "live:" .. name) or ""
  if value ~= before then
    changed = 1
    if value == "" then
      redis.call("HDEL", P .. "cfg", "live:" .. name)
    else
      redis.call("HSET", P .. "cfg", "live:" .. name, value)
    end
  end
end
if changed == 1 then
  local live = redis.call("HMGET", P .. "cfg", "live:max_active", "live:rate", "live:key_active", "live:key_rate")
  if live[1] or live[2] or live[3] or live[4] then
    redis.call("HSET", P .. "cfg", "live", "1")
  else
    redis.call("HDEL", P .. "cfg", "live")
  end
  relax(q)
end
save(q)
return changed
