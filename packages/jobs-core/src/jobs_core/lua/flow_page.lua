--- Names flows of this queue, the newest first: those that go on, or those that ended; at most 128.
-- PREFIX: P
-- ARGV: which:str before:str count:int
-- RETURNS: how many there are, then id and ms of each (of its beginning, or of its end)
-- FLAGS: no-writes
local key = table.concat({ P, which == "ended" and "flows.ended" or "flows" })
local till = before == "" and "+inf" or table.concat({ "(", before })
local found = redis.call("ZREVRANGEBYSCORE", key, till, "-inf", "WITHSCORES", "LIMIT", 0, math.min(count, 128))
table.insert(found, 1, redis.call("ZCARD", key))
return found
