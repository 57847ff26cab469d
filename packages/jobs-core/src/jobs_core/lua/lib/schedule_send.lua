--- Writes the jobs of a schedule that `admit` let in; with `stops` the run before them is cancelled. `last` is the id of the last one
-- ("": the schedule is not to know of them), and whoever stands for it is the schedule's job from now on.
-- Returns how many were created, how many found another run still there, and what is to be published when all is written.
-- INCLUDE: enter stop
local function schedule_send(q, id, s, jobs, last, stops)
  local P, told = q.P, {}
  if stops and s.job ~= "" then
    local _, messages = stop(q, { s.job })
    told = messages
  end
  enter(q, jobs)
  for name, created in pairs(jobs.added) do
    redis.call("HINCRBY", P .. "stats", "added:" .. name, created)
  end
  local signs, rest = string.match(jobs.verdict, "^([^\n]*)\n?(.*)$")
  local survivors = string.gmatch(rest, "[^\n]+")
  local created, kept, stands = 0, 0, last
  for sign in string.gmatch(signs, ".") do
    local other = sign ~= "1" and sign ~= "0" and survivors() or nil
    stands = other or last
    created = created + ((sign == "1" or other == last) and 1 or 0)
    kept = kept + ((other and other ~= last) and 1 or 0)
  end
  if last ~= "" and s.job ~= stands then
    redis.call("HDEL", P .. "sched.watch", s.job)
    s.job = stands
  end
  if last ~= "" and (s.delay > 0 or s.halts == 1) and redis.call("HEXISTS", P .. "rec", s.job) == 1 then
    redis.call("HSET", P .. "sched.watch", s.job, id)
  end
  return created, kept, told
end
