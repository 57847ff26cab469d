--- Names the deliveries of an owner, the oldest first, behind a fence; at most 500.
-- PREFIX: P
-- ARGV: owner:str after:int
-- RETURNS: id and fence (us) of each
-- FLAGS: no-writes
return redis.call("ZRANGEBYSCORE", P .. "active:" .. owner, string.format("(%.0f", after), "+inf", "WITHSCORES", "LIMIT", 0, 500)
