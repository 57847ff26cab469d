--- Ends what live jobs hold besides their home, before their records go: their expiry and their unique keys. A key is let go of only
-- by the job that holds it, and passes to the pending one behind it. `ran` says that they ended by running: then a key that is
-- held for a time (until=ttl) stays held.
-- INCLUDE: has unique_of succeed
local function let_go(q, ids, ran)
  local P = q.P
  if redis.call("EXISTS", P .. "expiring", P .. "uniq") == 0 then
    return
  end
  redis.call("ZREM", P .. "expiring", unpack(ids))
  local recs = redis.call("HMGET", P .. "rec", unpack(ids))
  local keys, modes, who = {}, {}, {}
  for i = 1, #ids do
    if recs[i] and has(string.byte(recs[i], 2), 16) then
      modes[#modes + 1], keys[#keys + 1] = unique_of(recs[i])
      who[#who + 1] = ids[i]
    end
  end
  if not keys[1] then
    return
  end
  local held = redis.call("HMGET", P .. "uniq", unpack(keys))
  local behind = redis.call("HMGET", P .. "uniq.next", unpack(keys))
  local dues = ran and redis.call("ZMSCORE", P .. "uniq.due", unpack(keys)) or {}
  local free, leaving, heirs, gone = {}, {}, {}, {}
  for i = 1, #keys do
    if behind[i] == who[i] then
      leaving[#leaving + 1] = keys[i]
      gone[keys[i]] = true
    end
  end
  for i = 1, #keys do
    if held[i] == who[i] then
      if behind[i] and not gone[keys[i]] then
        heirs[#heirs + 1] = keys[i]
        heirs[#heirs + 1] = behind[i]
      elseif not (modes[i] == "t" and dues[i] and tonumber(dues[i]) > q.ms) then
        free[#free + 1] = keys[i]
      end
    end
  end
  if leaving[1] then
    redis.call("HDEL", P .. "uniq.next", unpack(leaving))
  end
  if free[1] then
    redis.call("HDEL", P .. "uniq", unpack(free))
    redis.call("ZREM", P .. "uniq.due", unpack(free))
  end
  succeed(q, heirs)
end
