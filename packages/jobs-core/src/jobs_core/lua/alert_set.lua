--- Sets the threshold of an alert live, over what code declares, or takes it back.
-- PREFIX: P
-- ARGV: alert:str threshold:str
-- RETURNS: 1 if that changed anything; an empty threshold takes back what was set, "off" is no alert
-- FLAGS: allow-oom
local key = P .. "alerts.live"
if threshold == "" then
  return redis.call("HDEL", key, alert)
end
if redis.call("HGET", key, alert) == threshold then
  return 0
end
redis.call("HSET", key, alert, threshold)
return 1
