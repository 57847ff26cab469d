--- Writes what is known of a schedule, and when it is to be ticked: what does not fire stands at the end, listed and never due.
-- One without a next fire has ended, unless the next is counted from the end of a run that is still there.
local function schedule_write(q, id, s, act_ms)
  local P = q.P
  if s.status == 1 and s.next == 0 and (s.delay == 0 or redis.call("HEXISTS", P .. "sched.watch", s.job) == 0) then
    s.status = 3
  end
  local packed = struct.pack(
    ">I4I8I8I8I8I8I4I4I4I4BB",
    s.version,
    s.since,
    s.next,
    s.fired,
    s.last,
    s.delay,
    s.late,
    s.skipped,
    s.missed,
    s.overlapped,
    s.halts,
    s.status
  )
  redis.call("HSET", P .. "sched.state", id, table.concat({ packed, s.job }))
  redis.call("ZADD", P .. "sched", s.status == 1 and s.next > 0 and act_ms or 9007199254740991, id)
end
