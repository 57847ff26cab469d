--- Applies one entry of another queue's outbox, or a part (from 0) of a large one, once however often it comes.
-- `mark` is the oldest entry which that outbox still has.
-- PREFIX: P
-- ARGV: source:str epoch:str entry:int part:int mark:int
-- REST: of each effect: kind, number of its arguments, the arguments: jobs (groups as enqueue takes them), clear (ids), count (queue, name, group of each), resolve (flow, ordinal, mode, sign, who, told of each), cancel (ids), disown (beginning of edges, ids), cancel_flow (flows), cancel_below (flow, first ordinal, how many), again (id, generation, edges, ordinals of each)
-- RETURNS: 1 applied (where that wrote into the outbox here, then also the entries), 0 it was before, -1 not now (what is to be cleared runs)
-- ERRORS: SCHEMA, TOO_LARGE, TOO_MANY, BAD_RECORD, BAD_KIND
-- INCLUDE: open save admit enter clear_letters count_letters homes count_added resolve stop stop_owned flow_halt flow_cancel_below call_out again post
local q = open(P)
if q.err then
  return q
end
local origin = table.concat({ source, ":", epoch })
local applied = P .. "in:" .. origin
local low = tonumber(redis.call("HGET", P .. "inlow", origin) or 0)
local name = part == 0 and string.format("%.0f", entry) or string.format("%.0f.%.0f", entry, part)
if entry < low or redis.call("ZSCORE", applied, name) then
  return 0
end
-- What is given up to now can be refused; from the first write on nothing can.
local kinds = { count = true, resolve = true, cancel = true, disown = true, cancel_flow = true, cancel_below = true, again = true }
local found, jobs, at = {}, nil, 6
while ARGV[at] do
  local kind, n = ARGV[at], tonumber(ARGV[at + 1])
  if kind == "jobs" then
    jobs = admit(q, ARGV, at + 2, at + 1 + n, false, true)
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
  elseif kinds[kind] then
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
local told
for i = 1, #found do
  local kind, args = found[i][1], found[i][2]
  if kind == "clear" then
    clear_letters(q, args, found[i][3])
  elseif kind == "cancel" then
    told = select(2, stop(q, args))
  elseif kind == "disown" then
    told = stop_owned(q, args)
  elseif kind == "cancel_flow" then
    for j = 1, #args do
      flow_halt(q, args[j])
    end
  elseif kind == "cancel_below" then
    flow_cancel_below(q, args[1], tonumber(args[2]), tonumber(args[3]))
  elseif kind == "again" then
    local cleared = {}
    for j = 1, #args, 4 do
      local clear = again(q, args[j], args[j + 1], args[j + 2], args[j + 3])
      if clear and q.letters then
        cleared[#cleared + 1], cleared[#cleared + 2] = "clear", clear
      end
    end
    if cleared[1] then
      post(q, "dead-letter", cleared)
    end
  elseif kind == "resolve" then
    local id, edges, own = args[1], {}, nil
    for j = 1, #args, 6 do
      -- A flow of its own may have the id of a job that waits.
      local its = string.find(args[j + 2], "^[nop]") ~= nil
      if edges[1] and (args[j] ~= id or own ~= its) then
        resolve(q, id, edges)
        edges = {}
      end
      id, own = args[j], its
      edges[#edges + 1] = { tonumber(args[j + 1]), args[j + 2], args[j + 3], args[j + 4], args[j + 5] }
    end
    resolve(q, id, edges)
  else
    count_letters(q, args)
  end
end
redis.call("ZADD", applied, entry, name)
if mark > low then
  redis.call("HSET", P .. "inlow", origin, string.format("%.0f", mark))
  redis.call("ZREMRANGEBYSCORE", applied, "-inf", string.format("(%.0f", mark))
end
save(q)
if told then
  call_out(told)
end
local posted = rawget(q, "posted")
return posted and { 1, posted } or 1
