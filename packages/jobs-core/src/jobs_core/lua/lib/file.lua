--- Files waiting jobs of a keyed queue below their keys, which join the ring at its end; one that is parked stays so.
-- All is read (and so the types of the keys are checked) at first; `write` is called between reading and writing.
-- INCLUDE: by_key
local function file(q, ids, scores, recs, write)
  local P = q.P
  local keys, groups = by_key(q, ids, recs, scores)
  local turns, known, parked = {}, {}, {}
  if keys[1] then
    known, parked = redis.call("ZMSCORE", P .. "ring", unpack(keys)), redis.call("ZMSCORE", P .. "kparked", unpack(keys))
  end
  for k = 1, #keys do
    redis.call("ZCARD", P .. "k:" .. keys[k])
    if not known[k] and not parked[k] then
      turns[#turns + 1], turns[#turns + 2] = q.flow.turn + 10000, keys[k]
    end
  end
  write()
  for k = 1, #keys do
    local key, pairs = keys[k], groups[k]
    for i = 1, #pairs, 1000 do
      redis.call("ZADD", P .. "k:" .. key, unpack(pairs, i, math.min(i + 999, #pairs)))
    end
  end
  if turns[1] then
    redis.call("ZADD", P .. "ring", unpack(turns))
  end
end
