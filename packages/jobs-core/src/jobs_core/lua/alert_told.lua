--- Forgets crossings of alerts that were told.
-- PREFIX: P
-- REST: ids of crossings
-- RETURNS: how many there were
-- FLAGS: allow-oom
local told = 0
for i = 1, #ARGV do
  told = told + redis.call("HDEL", P .. "alerts.untold", ARGV[i])
end
return told
