--- The only door out of `waiting`: leave(q, ids, recs), the records only if the caller has them, before they are forgotten.
-- A key without a waiting job leaves the ring; while it was held back until a time, that is remembered until then.
-- INCLUDE: by_key
local function leave(q, ids, recs)
  local P = q.P
  redis.call("ZREM", P .. "waiting", unpack(ids))
  if not q.flow or q.flow.index % 3 == 0 then
    return
  end
  local keys, groups = by_key(q, ids, recs)
  local empty = {}
  for k = 1, #keys do
    local key = keys[k]
    redis.call("ZREM", P .. "k:" .. key, unpack(groups[k]))
    if redis.call("EXISTS", P .. "k:" .. key) == 0 then
      empty[#empty + 1] = key
    end
  end
  if not empty[1] then
    return
  end
  redis.call("ZREM", P .. "ring", unpack(empty))
  local parked, gone = redis.call("ZMSCORE", P .. "kparked", unpack(empty)), {}
  for k = 1, #empty do
    if parked[k] == "inf" then
      gone[#gone + 1] = empty[k]
    end
  end
  if gone[1] then
    redis.call("ZREM", P .. "kparked", unpack(gone))
  end
end
