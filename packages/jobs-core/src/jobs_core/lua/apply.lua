--- Applies one entry of another queue's outbox, once however often it comes; `mark` is the oldest entry which that outbox still has.
-- PREFIX: P
-- ARGV: source:str epoch:str entry:int mark:int
-- REST: of each effect: kind, number of its arguments, the arguments: jobs (groups as enqueue takes them), clear (ids), count (queue, name, group of each)
-- RETURNS: 1 applied, 0 it was before, -1 not now (what is to be cleared runs)
-- ERRORS: SCHEMA, TOO_LARGE, TOO_MANY, BAD_RECORD, BAD_KIND
-- INCLUDE: open save admit enter clear_letters count_letters homes count_added
local q = open(P)
if q.err then
  return q
end
local origin = table.concat({ source, ":", epoch })
local applied = P .. "in:" .. origin
local low = tonumber(redis.call("HGET", P .. "inlow", origin) or 0)
if entry < low or redis.call("ZSCORE", applied, entry) then
  return 0
end
-- What is given up to now can be refused; from the first write on nothing can.
local found, jobs, at = {}, nil, 5
while ARGV[at] do
  local kind, n = ARGV[at], tonumber(ARGV[at + 1])
  if kind == "jobs" then
    jobs = admit(q, ARGV, at + 2, at + 1 + n)
    if jobs.err then
      return jobs
    end
  elseif kind == "clear" then
    local ids = { unpack(ARGV, at + 2, at + 1 + n) }
    local states = homes(P, ids)
    for i = 1, n do
      if states[i] == "active" then
        return -1
      end
    end
    found[#found + 1] = { kind, ids, states }
  elseif kind == "count" then
    found[#found + 1] = { kind, { unpack(ARGV, at + 2, at + 1 + n) } }
  else
    return redis.error_reply("BAD_KIND " .. ARGV[at])
  end
  at = at + 2 + n
end
if jobs then
  enter(q, jobs)
  count_added(q, jobs)
end
for i = 1, #found do
  if found[i][1] == "clear" then
    clear_letters(q, found[i][2], found[i][3])
  else
    count_letters(q, found[i][2])
  end
end
redis.call("ZADD", applied, entry, entry)
if mark > low then
  redis.call("HSET", P .. "inlow", origin, string.format("%.0f", mark))
  redis.call("ZREMRANGEBYSCORE", applied, "-inf", string.format("(%.0f", mark))
end
save(q)
return 1
