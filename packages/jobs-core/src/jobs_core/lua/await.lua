--- Tells where a job is and, while it has not ended, enters the caller's inbox among those who await it.
-- PREFIX: P
-- ARGV: inbox:str id:str
-- RETURNS: state ("" when nothing is known of the job), record, what is told of the finished job, state entry, progress, fence (us), history
-- ERRORS: SCHEMA
-- INCLUDE: open locate
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
local found = locate(P, { id })[1]
local ended = { [""] = true, finished = true, completed = true, failed = true, cancelled = true, expired = true }
if inbox ~= "" and not ended[found[1]] then
  local waiters = redis.call("HGET", P .. "waiters", id) or ""
  if not string.find(" " .. waiters .. " ", " " .. inbox .. " ", 1, true) then
    redis.call("HSET", P .. "waiters", id, waiters == "" and inbox or waiters .. " " .. inbox)
  end
end
return found
