--- Unpacks what `state` keeps of a job that has a history: attempts, crashes, releases, cancel flag, ready time (ms).
-- Crashes of 2^31 mean none, and a suspect: a worker died while it ran this job among others, so that nobody knows which one did it.
local function history(packed)
  if not packed then
    return 0, 0, 0, 0, 0
  end
  return struct.unpack(">I4I4I4BI8", packed)
end
