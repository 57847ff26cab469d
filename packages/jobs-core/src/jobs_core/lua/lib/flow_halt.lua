--- Cancels a flow and, 128 at a time, the jobs that it follows, from an ordinal on. Returns cancelled, already_finished or not_found, and the
-- ordinal to go on with; nil at the end. Without an ordinal nobody waits for that one: an effect for this very queue goes on.
-- INCLUDE: flow_stop flow_call_off post
local function flow_halt(q, id, from)
  local f = redis.call("HMGET", table.concat({ q.P, "flow:", id }), "state", "called_off")
  if not f[1] then
    return "not_found"
  elseif f[1] == "completed" or f[1] == "failed" or f[1] == "cancelled" and not f[2] then
    return (from or 0) > 0 and f[1] == "cancelled" and "cancelled" or "already_finished"
  elseif f[1] ~= "cancelled" then
    flow_stop(q, id, "cancelled")
  end
  local at = flow_call_off(q, id, math.max(from or 0, tonumber(f[2] or 0)))
  if at and not from then
    post(q, string.match(q.P, "{(.*)}"), { "cancel_flow", id })
  end
  return "cancelled", at
end
