--- Limits or pauses changed: nothing is held any more on account of the old ones, and somebody looks what may start now.
local function relax(q)
  if q.flow then
    q.flow.full, q.flow.held, q.flow.rules = 0, 0, -1
    redis.call("HDEL", q.P .. "meta", "reviewed")
  end
  q.need = math.max(q.need, math.min(redis.call("ZCARD", q.P .. "waiting"), 16))
end
