--- Checks the types of a queue's keys before the first write, so that what a script does it does whole.
-- A key that somebody else put there is refused. The scripts of the hot path order their writes instead.
local function unsound(P)
  local kinds = {
    hash = "rec meta state history progress checkpoint cancels result stats logs waiters unroutable.names uniq uniq.next kactive "
      .. "sched.rows sched.state sched.notes sched.watch follows",
    zset = "waiting delayed unroutable completed failed cancelled expired owners idle tomb result.due sessions blocked expiring uniq.due "
      .. "ring kparked kbucket series.due sched early flows flows.ended flows.due joins "
      .. "trash.flows trash.flows.ended trash.joins trash.early",
    stream = "out",
    list = "attach",
  }
  for kind, names in pairs(kinds) do
    for name in string.gmatch(names, "%S+") do
      local found = redis.call("TYPE", P .. name).ok
      if found ~= "none" and found ~= kind then
        return redis.error_reply("WRONGTYPE " .. P .. name .. " is a " .. found)
      end
    end
  end
  return nil
end
