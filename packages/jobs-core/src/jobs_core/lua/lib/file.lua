--- Files waiting jobs of a keyed queue below their keys, which join the ring at its end; one that is parked stays so.
-- INCLUDE: by_key
local function file(q, ids, scores, recs)
  local keys, groups = by_key(q, ids, recs, scores)
  if not keys[1] then
    return
  end
  for k = 1, #keys do
    local key, pairs = keys[k], groups[k]
    for i = 1, #pairs, 1000 do
      redis.call("ZADD", q.P .. "k:" .. key, unpack(pairs, i, math.min(i + 999, #pairs)))
    end
  end
  local parked, turns = redis.call("ZMSCORE", q.P .. "kparked", unpack(keys)), { "NX" }
  for k = 1, #keys do
    if not parked[k] then
      turns[#turns + 1], turns[#turns + 2] = q.flow.turn + 10000, keys[k]
    end
  end
  if turns[2] then
    redis.call("ZADD", q.P .. "ring", unpack(turns))
  end
end
