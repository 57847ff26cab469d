--- Looks at many queues without changing anything: what an idle worker asks once a second, and what counts are made of.
-- KEYS: prefixes
-- RETURNS: for each queue: waiting, delayed, unroutable, ms until the next due job (-1: none), paused, idle owners, ms until the first lease ends (-1: none), entries in the outbox
-- INCLUDE: clock
-- FLAGS: no-writes
local ms = math.floor(clock() / 1000)
local out = {}
for i = 1, #KEYS do
  local P = KEYS[i]
  local head = redis.call("ZRANGE", P .. "delayed", 0, 0, "WITHSCORES")
  local meta = redis.call("HMGET", P .. "meta", "lease", "seen")
  local lease = redis.call("ZRANGEBYSCORE", P .. "owners", -1, "+inf", "WITHSCORES", "LIMIT", 0, 1)
  local ends = -1
  if lease[1] then
    local observed = math.min(math.max(ms - (tonumber(meta[2]) or 0), 0), 5000)
    ends = math.max(lease[2] - (tonumber(meta[1]) or 0) - observed, 0)
  end
  local paused = redis.call("HGET", P .. "cfg", "paused")
  out[i] = {
    redis.call("ZCARD", P .. "waiting"),
    redis.call("ZCARD", P .. "delayed"),
    redis.call("ZCARD", P .. "unroutable"),
    head[1] and math.max(math.floor(head[2] / 16) - ms, 0) or -1,
    paused and paused ~= "" and 1 or 0,
    redis.call("ZCARD", P .. "idle"),
    ends,
    redis.call("XLEN", P .. "out"),
  }
end
return out
