--- Gives the alerts of this minute to the first who asks: nobody else judges them, and whoever dies over it leaves them to the next minute.
-- PREFIX: P
-- RETURNS: the minute (0: somebody has it), what is firing, thresholds that are set live, what was seen before, what is to be told still, each flat by field
-- INCLUDE: clock
-- FLAGS: allow-oom
local minute = math.floor(clock() / 60000000)
if minute <= tonumber(redis.call("HGET", P .. "alerts.judged", "minute") or 0) then
  return { 0, {}, {}, {}, {} }
end
redis.call("HSET", P .. "alerts.judged", "minute", string.format("%.0f", minute))
return {
  minute,
  redis.call("HGETALL", P .. "alerts"),
  redis.call("HGETALL", P .. "alerts.live"),
  redis.call("HGETALL", P .. "alerts.seen"),
  redis.call("HGETALL", P .. "alerts.untold"),
}
