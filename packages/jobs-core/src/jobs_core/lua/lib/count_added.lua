--- Counts jobs that were entered, by name, in the totals of their queue.
local function count_added(q, jobs)
  for name, created in pairs(jobs.added) do
    redis.call("HINCRBY", q.P .. "stats", "added:" .. name, created)
  end
end
