--- Opens edges of a blocked job again, of jobs that did not complete and run again in generation `gen`; what is decided by the others holds.
-- One that has ended in that generation already, which may be told before, stays as it is.
-- INCLUDE: flow_keys join
local function reopen(q, id, gen, opens)
  local keys = flow_keys(q.P, id, true)
  local opened, known = redis.call("HGET", keys.flow, "opened") or " ", {}
  for ordinal in string.gmatch(opened, "%d+") do
    known[ordinal] = true
  end
  local more = {}
  for ordinal in string.gmatch(opens, "%d+") do
    more[#more + 1] = not known[ordinal] and table.concat({ ordinal, " " }) or nil
    local before = redis.call("HGET", keys.results, ordinal)
    local sign = before and string.sub(before, 1, 1)
    local at = tonumber(redis.call("HGET", keys.flow, table.concat({ "g:", ordinal })) or 0)
    if sign and sign ~= "c" and at < gen and redis.call("SETBIT", keys.done, ordinal, 0) == 1 then
      redis.call("HDEL", keys.results, ordinal)
      redis.call("HDEL", keys.flow, table.concat({ "v:", ordinal }))
      redis.call("HINCRBY", keys.flow, sign, -1)
    end
  end
  redis.call("HSET", keys.flow, "gen", gen, "opened", table.concat({ opened, table.concat(more) }))
  redis.call("HDEL", keys.flow, "verdict", "why", "in")
  local n, verdict, why = 0, nil, nil
  local fields = redis.call("HGETALL", keys.flow)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == "v:" then
      local decided, whose = string.match(fields[i + 1], "^(%a+) (.*)$")
      if not verdict or verdict == "go" or decided == "failed" then
        verdict, why = decided, whose
      end
    end
    n = fields[i] == "n" and tonumber(fields[i + 1]) or n
  end
  if verdict then
    redis.call("HSET", keys.flow, "verdict", verdict, "why", why)
  end
  join(q, id, n)
end
