--- Looks after flows whose time has come: goes on sending what a closed one kept back, and cancelling the jobs of one that was cancelled;
-- forgets one that was never closed, fails one whose filler did not come back; forgets those that ended 7 days ago, or 10,000 flows ago, and
-- ends that were told of before anybody asked. Returns how many it looked at, and whether there is more to do now.
-- INCLUDE: flow_publish flow_stop flow_call_off flow_answer forget_flows attach pieces
local function flows_due(q)
  local P = q.P
  if redis.call("EXISTS", P .. "flows.due", P .. "flows.ended", P .. "early") == 0 then
    return 0, false
  end
  local function attach_rest()
    local ids, edges, looked = {}, {}, redis.call("LRANGE", P .. "attach", 0, 127)
    for i = 1, #looked do
      local found = pieces(looked[i])
      ids[i], edges[i] = found[1], found[2]
    end
    local done = ids[1] and attach(q, ids, edges) or 0
    redis.call("LTRIM", P .. "attach", done, -1)
    if redis.call("EXISTS", P .. "attach") == 0 then
      redis.call("ZREM", P .. "flows.due", "\1")
    end
  end
  local n, due = 0, redis.call("ZRANGEBYSCORE", P .. "flows.due", "-inf", q.ms, "LIMIT", 0, 16)
  local bytes = 0
  while n < #due and bytes < 524288 do
    n = n + 1
    local id = due[n]
    local f = redis.call("HMGET", P .. "flow:" .. id, "state", "called_off")
    if id == "\1" then
      attach_rest()
      bytes = 524288
    elseif f[1] == "running" then
      local left, sent = flow_publish(q, id)
      bytes = bytes + sent + (left > 0 and 65536 or 0)
      if left > 0 then
        redis.call("ZADD", P .. "flows.due", string.format("%.0f", q.ms), id)
      end
    elseif f[1] == "open" then
      flow_stop(q, id, "failed")
    elseif f[1] == "cancelled" and f[2] then
      bytes = bytes + 131072
      if flow_call_off(q, id, tonumber(f[2])) then
        redis.call("ZADD", P .. "flows.due", string.format("%.0f", q.ms), id)
      end
    else
      redis.call("ZREM", P .. "flows.due", id)
      if f[1] == "staging" or not f[1] then
        redis.call("ZREM", P .. "flows", id)
        forget_flows(q, { id })
        flow_answer(q, id, "removed")
      end
    end
  end
  local old = redis.call("ZRANGEBYSCORE", P .. "flows.ended", "-inf", q.ms - 604800000, "LIMIT", 0, 100)
  local over = redis.call("ZCARD", P .. "flows.ended") - 10000
  if not old[1] and over > 0 then
    old = redis.call("ZRANGE", P .. "flows.ended", 0, math.min(over, 100) - 1)
  end
  if old[1] then
    redis.call("ZREM", P .. "flows.ended", unpack(old))
    redis.call("ZREM", P .. "flows.due", unpack(old))
    forget_flows(q, old)
  end
  local early = redis.call("ZRANGEBYSCORE", P .. "early", "-inf", q.ms, "LIMIT", 0, 100)
  if early[1] then
    redis.call("ZREM", P .. "early", unpack(early))
    forget_flows(q, early, true)
  end
  local rest = redis.call("ZRANGEBYSCORE", P .. "flows.due", "-inf", q.ms, "LIMIT", 0, 1)[1]
  return n + #old + #early, rest ~= nil or #old == 100 or #early == 100
end
