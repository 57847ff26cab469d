--- The only door into `waiting`: adds {score, id, …} pairs, in a keyed queue also below their keys.
-- `recs` are their records, where the caller has them. Saving the queue wakes idle owners for them.
-- INCLUDE: file
local function to_ready(q, pairs, recs)
  local n = #pairs
  local function write()
    for i = 1, n, 1000 do
      redis.call("ZADD", q.P .. "waiting", unpack(pairs, i, math.min(i + 999, n)))
    end
  end
  q.need = q.need + n / 2
  if n > 0 and q.flow and q.flow.index % 3 ~= 0 then
    local ids, scores = {}, {}
    for i = 1, n, 2 do
      scores[#scores + 1], ids[#ids + 1] = pairs[i], pairs[i + 1]
    end
    file(q, ids, scores, recs, write)
  else
    write()
  end
end
