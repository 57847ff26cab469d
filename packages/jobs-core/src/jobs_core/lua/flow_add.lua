--- Adds jobs to a flow that is open or staging, once for each chunk: they lie in the outbox, or are kept back, from this step on.
-- `seen` is how many the caller knows to be there: where they are fewer, the server lost some that it had answered for.
-- PREFIX: P
-- ARGV: flow_id:str chunk:str seen:int
-- REST: of each part: target, kind, jobs, content; `node` as kind describes the next job of the flow in its content and adds none
-- RETURNS: jobs that the flow has now, ordinal of the first that this chunk added, how many it added, entries of the outbox
-- ERRORS: SCHEMA, WRONGTYPE, NOT_OPEN, LOST
-- INCLUDE: open save unsound post parts flow_keys
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local keys = flow_keys(P, flow_id)
local f = redis.call("HMGET", keys.flow, "state", "n", "timeout")
if tonumber(f[2] or 0) < seen then
  return redis.error_reply(table.concat({ "LOST ", f[2] or "0" }))
end
local before = redis.call("HGET", keys.chunks, chunk)
if before then
  -- Whoever fills it again may cut it otherwise, and goes on behind what is there.
  local ordinal, count = string.match(before, "^(%d+) (%d+)$")
  return { tonumber(f[2]), tonumber(ordinal), tonumber(count), {} }
elseif f[1] ~= "open" and f[1] ~= "staging" then
  return redis.error_reply(table.concat({ "NOT_OPEN ", f[1] or "unknown" }))
end
local first, node = tonumber(f[2]), tonumber(f[2])
local n, targets = first, redis.call("HGET", keys.flow, "targets") or ""
local known = targets
redis.call("HLEN", keys.nodes)
redis.call("LLEN", keys.staged)
for i = 4, #ARGV, 4 do
  local target, kind, jobs, content = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  if kind == "node" then
    redis.call("HSET", keys.nodes, node, content)
    node = node + 1
  else
    if not string.find(table.concat({ " ", targets, " " }), table.concat({ " ", target, " " }), 1, true) then
      targets = targets == "" and target or table.concat({ targets, " ", target })
    end
    if kind == "children" then
      content = parts({ flow_id, string.format("%.0f", n), content })
    end
    if f[1] == "staging" then
      redis.call("RPUSH", keys.staged, parts({ target, kind, content }))
    else
      post(q, target, { kind, content })
    end
    n = n + jobs
  end
end
if targets ~= known then
  redis.call("HSET", keys.flow, "targets", targets)
end
redis.call("HSET", keys.chunks, chunk, string.format("%.0f %.0f", first, n - first))
redis.call("HSET", keys.flow, "n", n)
-- Where the server lost this chunk before, its jobs may have ended already.
local ended = n > first and redis.call("BITCOUNT", keys.done, first, n - 1, "BIT") or 0
if ended > 0 then
  redis.call("HINCRBY", keys.flow, "resolved", ended)
end
redis.call("ZADD", P .. "flows.due", string.format("%.0f", q.ms + tonumber(f[3])), flow_id)
save(q)
return { n, first, n - first, rawget(q, "posted") or {} }
