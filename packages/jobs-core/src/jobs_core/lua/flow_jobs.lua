--- Reads what a flow knows of the jobs that it follows, from an ordinal on, in order; at most 128 or 512 KiB.
-- `kind` is b for one of its own, j for that of a job which waits, "" for the first of these that there is.
-- PREFIX: P
-- ARGV: flow_id:str kind:str from:int count:int
-- RETURNS: jobs of the flow, ordinal to go on with (-1: the end), then of each: whether it has ended, what it is (""), how it ended ("")
-- INCLUDE: flow_keys
-- FLAGS: no-writes
local joins = kind == "j" or kind == "" and redis.call("EXISTS", table.concat({ P, "flow:", flow_id })) == 0
local keys, bytes = flow_keys(P, flow_id, joins), 0
local n = tonumber(redis.call("HGET", keys.flow, "n") or 0)
local out, at = { n, -1 }, from
while at < n and at < from + math.min(count, 128) and bytes < 524288 do
  local node, told = keys.nodes and redis.call("HGET", keys.nodes, at) or "", redis.call("HGET", keys.results, at) or ""
  out[#out + 1] = redis.call("GETBIT", keys.done, at)
  out[#out + 1] = node
  out[#out + 1] = told
  bytes = bytes + #node + #told
  at = at + 1
end
out[2] = at < n and at or -1
return out
