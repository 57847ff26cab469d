--- Writes down what the alerts of a minute came to: those that fire or recovered by it are to be told, once each.
-- PREFIX: P
-- ARGV: minute:int queues:int
-- REST: queue and what is remembered of it, for each queue; then queue/alert, 1 if it fires (else 0), what is told of it, for each alert
-- RETURNS: ids of those that are to be told, "ID of the alert:fired or recovered:ms"; nil where another minute was begun meanwhile
-- INCLUDE: clock
-- FLAGS: allow-oom
if tonumber(redis.call("HGET", P .. "alerts.judged", "minute") or 0) ~= minute then
  return false
end
local ms = string.format("%.0f", math.floor(clock() / 1000))
redis.call("DEL", P .. "alerts.seen")
for i = 3, 2 + 2 * queues, 2 do
  redis.call("HSET", P .. "alerts.seen", ARGV[i], ARGV[i + 1])
end
local crossed = {}
for i = 3 + 2 * queues, #ARGV, 3 do
  local id, fires, told = ARGV[i], ARGV[i + 1] == "1", ARGV[i + 2]
  local since = redis.call("HGET", P .. "alerts", id)
  if fires then
    -- What it came to is written anew, since when it fires stays.
    local began = since and string.match(since, "^%d+") or ms
    redis.call("HSET", P .. "alerts", id, table.concat({ began, " ", told }))
  elseif since then
    redis.call("HDEL", P .. "alerts", id)
  end
  if fires ~= (since and true or false) then
    local crossing = table.concat({ id, ":", fires and "fired" or "recovered", ":", ms })
    redis.call("HSET", P .. "alerts.untold", crossing, told)
    crossed[#crossed + 1] = crossing
  end
end
return crossed
