--- The verdict of a call that was sent before: returns (verdict) for a repeat, (nil, error) for a call older than the last one.
-- A session has one call in flight, so its last sequence number and verdict are all there is to remember.
local function session_verdict(q, session, seq)
  local kept = q.kept
  if not kept then
    return nil
  end
  local last, _, verdict = string.match(kept, "^(%d+) (%d+) (.*)$")
  last = tonumber(last)
  if seq == last then
    return verdict
  end
  if seq < last then
    return nil, redis.error_reply("STALE " .. session)
  end
  return nil
end
