--- Pauses a queue, or of it the jobs of a name or of a key: a gate that claim reads, never a home. Running jobs go on.
-- What is paused already stays so since then, now for `for_ms` from now; who and why are the earlier ones where nothing is said.
-- PREFIX: P
-- ARGV: what:str for_ms:int actor:str reason:str
-- RETURNS: 1 if it was running, 0 if it was paused already
-- ERRORS: SCHEMA
-- INCLUDE: open save hold event rearm pause_over
-- FLAGS: allow-oom
local q = open(P)
if q.err then
  return q
end
-- `what` is empty for the queue, else "job:NAME" or "key:KEY"; 0 ms: until it is resumed.
local now, till = string.format("%.0f", q.ms), for_ms > 0 and string.format("%.0f", q.ms + for_ms) or "0"
local running
-- What is said of an earlier pause that goes on.
local function keep(since, who, why)
  now = since or now
  actor = actor ~= "" and actor or who or ""
  reason = reason ~= "" and reason or why or ""
end
if what == "" then
  pause_over(q)
  running = not q.paused
  if not running then
    keep(unpack(redis.call("HMGET", P .. "cfg", "paused", "pause_actor", "pause_reason")))
  end
  redis.call("HSET", P .. "cfg", "paused", now, "pause_actor", actor, "pause_reason", reason, "paused_until", till)
else
  running = not hold(q, "pause:" .. what, till)
  local before = not running and redis.call("HGET", P .. "cfg", "why:" .. what)
  if before then
    keep(string.match(before, "^([^\n]*)\n([^\n]*)\n(.*)$"))
  end
  redis.call("HSET", P .. "cfg", "why:" .. what, table.concat({ now, actor, reason }, "\n"))
end
event(q, "paused", cmsgpack.pack({ what, actor, reason }))
if for_ms > 0 then
  -- Somebody sets the alarm for its end.
  rearm(q, q.ms + for_ms)
end
save(q)
return running and 1 or 0
