--- Takes note in a schedule of what became of its jobs: `signs` has a character of each, `survivors` (read on from `survivors.at`) who
-- stands for those that were not added. `last` is the id of the last one, whoever stands for it is the schedule's job from now on; with
-- "" the schedule is not to know of them. Returns how many were created, and how many found another run still there.
local function schedule_sent(q, id, s, signs, survivors, last)
  local P, created, kept, stands = q.P, 0, 0, last
  for sign in string.gmatch(signs, ".") do
    local other
    if sign ~= "1" and sign ~= "0" then
      other = survivors[survivors.at]
      survivors.at = survivors.at + 1
    end
    stands = other or last
    created = created + ((sign == "1" or other == last) and 1 or 0)
    kept = kept + ((other and other ~= last) and 1 or 0)
  end
  if last ~= "" then
    if (s.delay > 0 or s.halts == 1) and s.job ~= stands then
      redis.call("HDEL", P .. "sched.watch", s.job)
    end
    s.job = stands
    if (s.delay > 0 or s.halts == 1) and redis.call("HEXISTS", P .. "rec", s.job) == 1 then
      redis.call("HSET", P .. "sched.watch", s.job, id)
    end
  end
  return created, kept
end
