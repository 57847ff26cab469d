--- Tells which commands the user who asks may not run on the keys and channels of a prefix.
-- REST: a key of the prefix, then commands
-- RETURNS: the commands
-- FLAGS: no-writes
local key, denied = ARGV[1], {}
for i = 2, #ARGV do
  -- Those of no key ignore it; a second one is that of a command with two.
  if not redis.acl_check_cmd(ARGV[i], key, key) then
    denied[#denied + 1] = ARGV[i]
  end
end
return denied
