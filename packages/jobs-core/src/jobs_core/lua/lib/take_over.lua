--- Gives a job the payload of a newer one, and with `all` also its priority, due time and expiry; id and stamp stay.
-- INCLUDE: has
local function take_over(there, job, all)
  local own, expires = there.flags % 2, has(there.flags, 4)
  there.flags = job.flags - job.flags % 2 + own
  if all then
    there.priority, there.expires, there.moved = job.priority, job.expires, true
    -- A job that was ready already keeps its turn; one that had to wait is ready from now on.
    if job.due > 0 or there.home == "delayed" then
      there.due = job.due
      there.now = job.due == 0
    end
  elseif expires ~= has(there.flags, 4) then
    there.flags = there.flags + (expires and 4 or -4)
  end
  there.body, there.name, there.cost = job.body, job.name, job.cost
  there.apart, there.fresh = false, true
end
