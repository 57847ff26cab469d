--- Tells what is known of a flow, of its own or of the job that waits for others: pairs of name and value, and enters an inbox among those who await it.
-- PREFIX: P
-- ARGV: inbox:str flow_id:str
-- RETURNS: kind ("" where there is none), state, jobs, resolved, created, ended, description, then how many ended as c f x e r s m, and how often it was retried
-- ERRORS: SCHEMA
-- INCLUDE: open
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
local counts = { "c", "f", "x", "e", "r", "s", "m" }
local kind, key = "b", table.concat({ P, "flow:", flow_id })
if redis.call("EXISTS", key) == 0 then
  kind, key = "j", table.concat({ P, "join:", flow_id })
end
local f = redis.call("HMGET", key, "", "state", "n", "resolved", "created", "ended", "info", unpack(counts))
f[15] = redis.call("HGET", key, "gen")
f[1] = f[3] and kind
for i = 1, 15 do
  f[i] = f[i] or ""
end
if inbox ~= "" and (f[2] == "open" or f[2] == "staging" or f[2] == "running") then
  local field = table.concat({ "\1", flow_id })
  local waiters = redis.call("HGET", P .. "waiters", field) or ""
  if not string.find(" " .. waiters .. " ", " " .. inbox .. " ", 1, true) then
    redis.call("HSET", P .. "waiters", field, waiters == "" and inbox or waiters .. " " .. inbox)
  end
end
return f
