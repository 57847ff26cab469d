--- Wakes one owner when a job became due earlier than the alarm that is set, or none is set.
local function rearm(q, due_ms)
  local alarm = tonumber(redis.call("HGET", q.P .. "meta", "alarm") or 0)
  if alarm < q.ms or due_ms < alarm then
    q.need = math.max(q.need, 1)
  end
end
