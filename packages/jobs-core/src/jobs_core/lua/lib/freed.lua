--- Counts deliveries out that were taken from an owner, all of them a moment ago: whoever waits for their slots is woken.
-- `recs` of the jobs as they were, and their fences: those from before the queue was keyed are not counted by key.
-- INCLUDE: key_of rejoin
local function freed(q, recs, fences)
  local f, n = q.flow, #fences
  if not f then
    return
  end
  if f.active >= 0 then
    f.active = math.max(f.active - n, 0)
  end
  if f.full == 1 then
    f.full = 0
    q.need = q.need + n
  end
  if f.index % 3 == 0 then
    return
  end
  local counts, keys, back = {}, {}, {}
  for i = 1, n do
    local key = recs[i] and tonumber(fences[i]) >= f.since and key_of(recs[i]) or ""
    if key ~= "" then
      if not counts[key] then
        keys[#keys + 1] = key
      end
      counts[key] = (counts[key] or 0) + 1
    end
  end
  if not keys[1] then
    return
  end
  local parked = redis.call("ZMSCORE", q.P .. "kparked", unpack(keys))
  for k = 1, #keys do
    local key = keys[k]
    if redis.call("HINCRBY", q.P .. "kactive", key, -counts[key]) <= 0 then
      redis.call("HDEL", q.P .. "kactive", key)
    end
    if parked[k] == "inf" then
      back[#back + 1] = key
      q.need = q.need + counts[key]
    end
  end
  rejoin(q, back)
end
