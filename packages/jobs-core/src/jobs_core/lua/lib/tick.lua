--- Advances the lease clock by the time observed since the last claim, beat or reap, at most 5 s:
-- an outage, a freeze or a clock jump therefore never counts as the silence of an owner.
-- Steps under 100 ms are not written each time: the next call observes them again.
local function tick(q)
  local step = q.ms - q.seen
  if q.seen == 0 or step < 0 then
    step = 0
    q.ticked = true
  elseif step > 5000 then
    step = 5000
  end
  q.lease = q.lease + step
  q.seen = q.ms
  q.ticked = q.ticked or step >= 100
end
