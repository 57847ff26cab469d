--- Cancels a flow and, 128 at a time, the jobs that it follows, by effects for their queues: call again with the ordinal it stopped at.
-- PREFIX: P
-- ARGV: flow_id:str from:int
-- RETURNS: cancelled, already_finished or not_found; ordinal to go on with (-1: the end), entries of the outbox
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound flow_stop post flow_keys
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local keys = flow_keys(P, flow_id)
local f = redis.call("HMGET", keys.flow, "state", "n", "targets", "kind")
if not f[1] or f[4] ~= "b" then
  return { "not_found", -1, {} }
elseif from == 0 and (f[1] == "completed" or f[1] == "failed" or f[1] == "cancelled") then
  return { "already_finished", -1, {} }
elseif f[1] ~= "cancelled" then
  flow_stop(q, flow_id, "cancelled")
end
local n, till = tonumber(f[2]), from + 128
local nodes = redis.call("EXISTS", keys.nodes) == 1
local ids = {}
for ordinal = from, math.min(till, n) - 1 do
  if redis.call("GETBIT", keys.done, ordinal) == 0 then
    local node = nodes and redis.call("HGET", keys.nodes, ordinal)
    if node then
      local said = cmsgpack.unpack(node)
      ids[said[1]] = ids[said[1]] or {}
      table.insert(ids[said[1]], said[2])
    elseif not nodes then
      for target in string.gmatch(f[3] or "", "%S+") do
        ids[target] = ids[target] or {}
        table.insert(ids[target], string.format("%s.%.0f", flow_id, ordinal))
      end
    end
  end
end
for target, its in pairs(ids) do
  post(q, target, { "cancel", cmsgpack.pack(its) })
end
save(q)
return { "cancelled", till < n and till or -1, rawget(q, "posted") or {} }
