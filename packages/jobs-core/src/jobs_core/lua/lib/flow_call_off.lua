--- Goes on cancelling the jobs of a flow that was cancelled, 128 of them, by effects for their queues, which may overtake them: one that has
-- not come yet does not come any more. A flow that does not list its jobs knows only in which queues they may be: where these are several, none
-- is remembered in those that it never comes to, and whoever cancels carries the jobs before. Returns the ordinal to go on with, nil at the end.
-- INCLUDE: post flow_keys
local function flow_call_off(q, id, from)
  local P = q.P
  local keys = flow_keys(P, id)
  local f = redis.call("HMGET", keys.flow, "n", "targets")
  local n = tonumber(f[1])
  local till = math.min(from + 128, n)
  local nodes, ids = redis.call("EXISTS", keys.nodes) == 1, {}
  local known = nodes or not string.find(f[2] or "", " ", 1, true)
  local function cancel(target, job)
    ids[target] = ids[target] or {}
    table.insert(ids[target], job)
  end
  for ordinal = from, till - 1 do
    if redis.call("GETBIT", keys.done, ordinal) == 0 then
      local node = nodes and redis.call("HGET", keys.nodes, ordinal)
      if node then
        local said = cmsgpack.unpack(node)
        cancel(said[1], said[2])
      else
        for target in string.gmatch(f[2] or "", "%S+") do
          cancel(target, string.format("%s.%.0f", id, ordinal))
        end
      end
    end
  end
  for target, its in pairs(ids) do
    -- Records are read where they are cancelled, so it is not too many at once.
    for at = 1, #its, 32 do
      local some = { unpack(its, at, math.min(at + 31, #its)) }
      if known then
        table.insert(some, 1, "")
      end
      post(q, target, { known and "disown" or "cancel", cmsgpack.pack(some) })
    end
  end
  if till < n then
    redis.call("HSET", keys.flow, "called_off", till)
    redis.call("ZADD", P .. "flows.due", string.format("%.0f", q.ms + 2000), id)
    return till
  end
  redis.call("HDEL", keys.flow, "called_off")
  redis.call("ZREM", P .. "flows.due", id)
end
