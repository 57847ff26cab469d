--- The only door out of `waiting`: leave(q, ids, recs), the records only if the caller has them, before they are forgotten; `stays` says
-- that the jobs are to come back as they were.
-- A key without a waiting job leaves the ring; while it was held back until a time, that is remembered until then.
-- INCLUDE: by_key unhold
local function leave(q, ids, recs, stays)
  local P, keys, groups = q.P, {}, {}
  if q.flow and q.flow.index % 3 ~= 0 then
    keys, groups = by_key(q, ids, recs)
  end
  local sizes, parked = {}, {}
  for k = 1, #keys do
    sizes[k] = redis.call("ZCARD", P .. "k:" .. keys[k])
  end
  if keys[1] then
    parked = redis.call("ZMSCORE", P .. "kparked", unpack(keys))
    if not stays then
      unhold(q, keys, groups, parked)
    end
  end
  redis.call("ZREM", P .. "waiting", unpack(ids))
  local empty, free = {}, {}
  for k = 1, #keys do
    local key = keys[k]
    if redis.call("ZREM", P .. "k:" .. key, unpack(groups[k])) >= sizes[k] then
      empty[#empty + 1] = key
      if parked[k] == "inf" then
        free[#free + 1] = key
      end
    end
  end
  if empty[1] then
    redis.call("ZREM", P .. "ring", unpack(empty))
  end
  if free[1] then
    redis.call("ZREM", P .. "kparked", unpack(free))
  end
end
