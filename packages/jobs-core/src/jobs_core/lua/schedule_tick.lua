--- Sends the fires of schedules that are due and moves them on: of each one compare-and-set on the fire that the caller saw as the next.
-- The ids of the jobs follow from schedule and fire, and one that is known is not sent again.
-- PREFIX: P
-- REST: of each schedule (at most 128): id, version, the fire that is next (ms), the one after it (0: none), when that is sent, the last fire that is sent, id of its job ("": none is), limit (0: none), how many are late, skipped, missed, overlapped, 1 if the run before is to be cancelled, why it is put off ("": it is not), how many jobs, how many arguments, then these: groups of jobs as `enqueue` takes them
-- RETURNS: of each schedule how many were sent, or -1 where somebody else has ticked it
-- ERRORS: SCHEMA, WRONGTYPE, TOO_LARGE, TOO_MANY, BAD_RECORD
-- INCLUDE: open save unsound schedule schedule_write schedule_head admit enter stop verdicts schedule_sent count_added call_out event
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
local ticks, groups, previous, seen, out, at = {}, {}, {}, {}, {}, 1
while ARGV[at] do
  local id, s = ARGV[at], schedule(redis.call("HGET", P .. "sched.state", ARGV[at]))
  local n = tonumber(ARGV[at + 15])
  if s and s.status == 1 and s.version == tonumber(ARGV[at + 1]) and s.next == tonumber(ARGV[at + 2]) and not seen[id] then
    seen[id] = true
    ticks[#ticks + 1] = { id, s, at, #out + 1 }
    for i = at + 16, at + 15 + n do
      groups[#groups + 1] = ARGV[i]
    end
    if ARGV[at + 12] == "1" and ARGV[at + 6] ~= "" and s.job ~= "" then
      previous[#previous + 1] = s.job
    end
  end
  out[#out + 1] = -1
  at = at + 16 + n
end
local jobs = admit(q, groups, 1, #groups)
if jobs.err then
  return jobs
end
local told = {}
if previous[1] then
  local _, messages = stop(q, previous)
  told = messages
end
enter(q, jobs)
local signs, others = verdicts(jobs.verdict)
local first = 1
for i = 1, #ticks do
  local id, s, from, nth = unpack(ticks[i])
  local function number(field)
    return tonumber(ARGV[from + field])
  end
  local act_ms, last, note, count = number(4), ARGV[from + 6], ARGV[from + 13], number(14)
  local created, kept = schedule_sent(q, id, s, string.sub(signs, first, first + count - 1), others, last)
  first = first + count
  if last ~= "" then
    s.last = number(5)
  end
  local late, skipped, missed, overlapped = number(8), number(9), number(10), number(11) + kept
  s.next, s.late, s.skipped, s.missed = number(3), s.late + late, s.skipped + skipped, s.missed + missed
  s.fired, s.overlapped = s.fired + created, s.overlapped + overlapped
  if late + skipped + missed + overlapped > 0 then
    event(q, "misfired", cmsgpack.pack({ id, late, skipped, missed, overlapped }))
  end
  local limit = number(7)
  if limit > 0 and s.fired >= limit then
    s.next, s.status = 0, 3
    redis.call("HDEL", P .. "sched.watch", s.job)
  elseif s.delay > 0 and last ~= "" and s.next == 0 and redis.call("HEXISTS", P .. "sched.watch", s.job) == 0 then
    -- Its run is over already.
    s.next = q.ms + s.delay
    act_ms = s.next
  end
  if note ~= "" then
    redis.call("HSET", P .. "sched.notes", id, string.format("%.0f\n\n%s", q.ms, note))
  elseif last ~= "" then
    redis.call("HDEL", P .. "sched.notes", id)
  end
  schedule_write(q, id, s, act_ms)
  out[nth] = created
end
schedule_head(q, true)
save(q)
count_added(q, jobs)
call_out(told)
return out
