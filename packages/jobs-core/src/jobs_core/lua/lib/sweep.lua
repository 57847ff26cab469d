--- Ends at most `limit` jobs as `expired` that did not start in time, wherever they wait.
-- Returns how many, and when the next one expires (ms; nil: none).
-- INCLUDE: homes record finish depart note_end within
local function sweep(q, limit)
  local P = q.P
  local head = redis.call("ZRANGE", P .. "expiring", 0, 0, "WITHSCORES")
  if not head[1] or tonumber(head[2]) > q.ms then
    return 0, head[1] and tonumber(head[2])
  end
  local found = within(P, redis.call("ZRANGEBYSCORE", P .. "expiring", "-inf", q.ms, "LIMIT", 0, limit))
  local states, recs = homes(P, found), redis.call("HMGET", P .. "rec", unpack(found))
  local ids, infos, from, names, told = {}, {}, {}, {}, {}
  local info = string.format("expired %.0f", q.ms)
  local waits = { waiting = true, delayed = true, unroutable = true, blocked = true }
  for i = 1, #found do
    local home = states[i]
    if recs[i] and waits[home] then
      local _, _, _, _, name = record(recs[i])
      ids[#ids + 1] = found[i]
      told[#ids] = recs[i]
      infos[#infos + 1] = info
      from[#ids] = home
      names[name] = (names[name] or 0) + 1
    end
  end
  depart(q, ids, from, told)
  if ids[1] then
    note_end(q, "expired", ids, told, redis.call("HMGET", P .. "state", unpack(ids)), "")
    finish(q, "expired", ids, infos, { -2, -1, -1 }, 0, false)
  end
  redis.call("ZREM", P .. "expiring", unpack(found))
  for name, n in pairs(names) do
    redis.call("HINCRBY", P .. "stats", "expired:" .. name, n)
  end
  head = redis.call("ZRANGE", P .. "expiring", 0, 0, "WITHSCORES")
  return #ids, head[1] and tonumber(head[2])
end
