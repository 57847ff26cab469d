--- The only door out of `waiting`: leave(q, ids, recs), the records only if the caller has them, before they are forgotten.
local function leave(q, ids)
  redis.call("ZREM", q.P .. "waiting", unpack(ids))
end
