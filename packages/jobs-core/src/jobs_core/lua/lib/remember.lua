--- Remembers the verdict of a session's newest call for as long as the session is used, and 1 h longer. Saving the queue writes it.
local function remember(q, session, seq, verdict)
  if not q.kept then
    redis.call("ZADD", q.P .. "sessions", q.ms, session)
  end
  local n = #q.fields
  q.fields[n + 1], q.fields[n + 2] = "session:" .. session, string.format("%.0f %.0f %s", seq, q.ms, verdict)
end
