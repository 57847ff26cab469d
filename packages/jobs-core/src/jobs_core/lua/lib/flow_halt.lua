--- Cancels a flow and, 128 at a time, the jobs that it follows, from an ordinal on. Returns cancelled, already_finished or not_found, and the
-- ordinal to go on with; nil at the end.
-- INCLUDE: flow_stop flow_call_off
local function flow_halt(q, id, from)
  local f = redis.call("HMGET", table.concat({ q.P, "flow:", id }), "state", "called_off")
  if not f[1] then
    return "not_found"
  elseif f[1] == "completed" or f[1] == "failed" or f[1] == "cancelled" and not f[2] then
    return from > 0 and f[1] == "cancelled" and "cancelled" or "already_finished"
  elseif f[1] ~= "cancelled" then
    flow_stop(q, id, "cancelled")
  end
  return "cancelled", flow_call_off(q, id, math.max(from, tonumber(f[2] or 0)))
end
