--- Makes a job that is there, as `holders` found it, into one that `admit` writes anew; `list` gathers those that were there before.
-- One that is ready is due now at the latest, also where it was promoted before its time: it does not go back to wait for that.
-- INCLUDE: record has
local function renew(q, holder, list)
  if not holder.job then
    local rec = holder.rec
    local flags, priority, stamp, due, name = record(rec)
    holder.job = {
      id = holder.id,
      old = rec,
      home = holder.state,
      body = string.sub(rec, 21),
      name = name,
      flags = flags,
      cost = string.byte(rec, 3),
      priority = priority,
      stamp = stamp,
      due = (holder.state == "waiting" or holder.state == "unroutable") and math.min(due, q.ms) or due,
      -- One that has started once expires no more, whatever its record says.
      expires = has(flags, 4) and tonumber(redis.call("ZSCORE", q.P .. "expiring", holder.id) or nil) or nil,
      apart = has(flags, 2),
    }
    list[#list + 1] = holder.job
  end
  return holder.job
end
