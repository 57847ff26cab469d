--- Lets a flow that failed go on from the jobs that did not complete, by effects for their queues; those that completed keep their results.
-- Ends of the runs before are no news from then on: its generation, which the caller names, grows.
-- PREFIX: P
-- ARGV: flow_id:str generation:int
-- REST: of each job that did not complete (at most 10,000): ordinal, queue, id, its edges inside of the flow, ordinals of what it waits for that runs again (joined by spaces)
-- RETURNS: retried, not_found, changed (another one came first), or the state it is in instead; entries of the outbox
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound parts post_all flow_keys
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local keys = flow_keys(P, flow_id)
local f = redis.call("HMGET", keys.flow, "state", "gen", "abandoned", "created")
if not f[1] then
  return { "not_found", {} }
elseif f[1] ~= "failed" or f[3] then
  return { f[3] and "abandoned" or f[1], {} }
elseif tonumber(f[2] or 0) ~= generation then
  return { "changed", {} }
end
-- Where the server forgot a retry, the next one is later all the same than what jobs elsewhere heard of that one.
local gen = string.format("%.0f", math.max(generation + 1, q.ms - tonumber(f[4] or q.ms)))
local ordinals = {}
for i = 3, #ARGV, 5 do
  ordinals[#ordinals + 1] = ARGV[i]
end
local counts, contents, targets, opened = {}, {}, {}, 0
local ends = { f = 0, x = 0, e = 0, r = 0, s = 0, m = 0 }
for at = 1, #ordinals, 500 do
  local some, gone, bits = { unpack(ordinals, at, math.min(at + 499, #ordinals)) }, {}, {}
  local told = redis.call("HMGET", keys.results, unpack(some))
  for i = 1, #some do
    local sign = told[i] and string.sub(told[i], 1, 1)
    if ends[sign] then
      ends[sign] = ends[sign] + 1
      gone[#gone + 1] = some[i]
      bits[#bits + 1], bits[#bits + 2], bits[#bits + 3], bits[#bits + 4] = "SET", "u1", some[i], 0
      local j = 3 + 5 * (at + i - 2)
      local target = ARGV[j + 1]
      if not contents[target] then
        targets[#targets + 1] = target
        contents[target], counts[target] = {}, {}
      end
      -- Records are read where they are retried: a quarter of what an entry may hold of others.
      table.insert(counts[target], 4)
      table.insert(contents[target], parts({ ARGV[j + 2], gen, ARGV[j + 3], ARGV[j + 4] }))
    end
  end
  if gone[1] then
    redis.call("HDEL", keys.results, unpack(gone))
    redis.call("BITFIELD", keys.done, unpack(bits))
    opened = opened + #gone
  end
end
if opened == 0 then
  return { "changed", {} }
end
for sign, n in pairs(ends) do
  if n > 0 then
    redis.call("HINCRBY", keys.flow, sign, 0 - n)
  end
end
local left = redis.call("HMGET", keys.flow, "f", "x", "e", "r", "m")
local still = 0
for i = 1, 5 do
  still = still + tonumber(left[i] or 0)
end
redis.call("HINCRBY", keys.flow, "resolved", 0 - opened)
redis.call("HSET", keys.flow, "state", "running", "gen", gen, "bad", still)
redis.call("HDEL", keys.flow, "ended")
redis.call("ZREM", P .. "flows.ended", flow_id)
redis.call("ZADD", P .. "flows", string.format("%.0f", q.ms), flow_id)
for i = 1, #targets do
  post_all(q, targets[i], "again", counts[targets[i]], contents[targets[i]])
end
save(q)
return { "retried", rawget(q, "posted") or {} }
