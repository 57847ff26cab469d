--- When a job was ready last (us): `again` of a job with a history, else when it was due (both ms; 0: never), else its stamp.
local function ready_at(stamp, due_ms, again)
  if again > 0 then
    return again * 1000
  end
  return due_ms > 0 and due_ms * 1000 or stamp
end
