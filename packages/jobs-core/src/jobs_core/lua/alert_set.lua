--- Sets the threshold of an alert live, over what code declares, or takes it back.
-- PREFIX: P
-- ARGV: id:str threshold:str
-- RETURNS: 1 if that changed anything; an empty threshold takes back what was set, "off" is no alert
local key = P .. "alerts.live"
if threshold == "" then
  return redis.call("HDEL", key, id)
end
if redis.call("HGET", key, id) == threshold then
  return 0
end
redis.call("HSET", key, id, threshold)
return 1
