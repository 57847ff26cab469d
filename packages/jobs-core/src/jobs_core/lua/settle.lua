--- Settles deliveries of one owner, in groups of one verb: complete, fail, cancel, retry, snooze, limit, wait, release, unroutable.
-- A group `effect` before them writes what follows their end into the outbox, in the same step: its `name` is the kind, `keep_count` the
-- queue that it is for, and of each it has id, fence, number of jobs, content.
-- A delivery whose fence is no longer the one in force is refused and changes nothing.
-- PREFIX: P
-- ARGV: session:str seq:int owner:str
-- REST: groups of: verb, name, n, keep_count, keep_age_ms, keep_bytes, result_ttl_ms, run_us, wait_us, then n times: id, fence, flags (complete, fail, cancel), delay_ms (retry, snooze, limit) or how many it waits for (wait), info (of limit: what is held back, job, key or queue; of wait: what calls off the jobs that it added); at the end groups of what else is to be written down, as `note` takes it
-- RETURNS: one character a delivery: 1 settled, c settled, but ended as cancelled instead, for it was to stop, 0 refused (its lease was lost); where effects were written then a newline, the epoch of the outbox and the ids of their entries
-- ERRORS: SCHEMA, STALE, BAD_VERB
-- INCLUDE: open save session remember finish stopped put_back wait_for park post_all freed note series
-- FLAGS: allow-oom
local q = open(P, session)
if q.err then
  return q
end
local known, err = session_verdict(q, session, seq)
if known or err then
  return known or err
end
local at = 4
local verbs = { complete = "completed", fail = "failed", cancel = "cancelled", retry = "retried", snooze = "snoozed", limit = "limited" }
verbs.release, verbs.unroutable, verbs.effect, verbs.wait = "", "", "", ""
local notes = { measure = true, error = true, tell = true }
while at <= #ARGV do
  if not verbs[ARGV[at]] and not notes[ARGV[at]] then
    return redis.error_reply("BAD_VERB " .. ARGV[at])
  end
  at = at + 9 + 4 * ARGV[at + 2]
end
local active = P .. "active:" .. owner

local verdicts, stats, scores = {}, P .. "stats", {}
local ended, waited, ran = { completed = 0, failed = 0, retried = 0 }, 0, 0
at = 4
local function settle()
  while at <= #ARGV and not notes[ARGV[at]] do
    local verb, name, n, target = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
    local keep = { tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]) }
    local ttl, run_us, wait_us = tonumber(ARGV[at + 6]), ARGV[at + 7], ARGV[at + 8]
    at = at + 9
    local all = {}
    for i = 1, n do
      all[i] = ARGV[at + 4 * (i - 1)]
    end
    local effect, fences = verb == "effect", {}
    for i = 1, n do
      fences[i] = scores[all[i]]
      if not fences[i] or effect then
        fences = redis.call("ZMSCORE", active, unpack(all))
        break
      end
    end
    for i = 1, n do
      -- What effects were written of is asked for once; a delivery is settled once.
      scores[all[i]] = effect and fences[i] or nil
    end
    local ids, args, infos, held, plain, place = {}, {}, {}, {}, true, {}
    local ours, slot = 0, #verdicts
    for i = 1, n do
      local j, id, fence = at + 4 * (i - 1), all[i], fences[i]
      slot = slot + 1
      if fence and (fence == ARGV[j + 1] or tonumber(fence) == tonumber(ARGV[j + 1])) and (effect or not place[id]) then
        ours = ours + 1
        place[id] = slot
        ids[ours], args[ours], held[ours], infos[ours] = id, ARGV[j + 2], fence, ARGV[j + 3]
        plain = plain and ARGV[j + 2] == "0"
        verdicts[slot] = effect and "" or "1"
      else
        verdicts[slot] = effect and "" or "0"
      end
    end
    at = at + 4 * n
    if verb == "effect" then
      post_all(q, target, name, args, infos)
    elseif ids[1] then
      local recs = q.flow and q.flow.index % 3 ~= 0 and redis.call("HMGET", P .. "rec", unpack(ids)) or {}
      local off, left, told = {}, ids, infos
      if verb == "complete" or verb == "fail" or verb == "cancel" then
        if verb == "fail" then
          left, told, off = stopped(q, ids, infos)
        end
        if left[1] then
          finish(q, verbs[verb], left, told, keep, ttl, plain)
        end
      elseif verb == "unroutable" then
        off = park(q, name, ids)
      elseif verb == "wait" then
        off = wait_for(q, ids, args, infos)
      else
        off = put_back(q, verb, ids, args, infos)
      end
      for i = 1, #off do
        verdicts[place[off[i]]] = "c"
      end
      local count = #ids - #off
      redis.call("ZREM", active, unpack(ids))
      freed(q, recs, held)
      q.active = q.active - #ids
      if verbs[verb] ~= "" and count > 0 then
        ended[verbs[verb]] = (ended[verbs[verb]] or 0) + count
        redis.call("HINCRBY", stats, verbs[verb] .. ":" .. name, count)
      end
      if run_us ~= "0" then
        redis.call("HINCRBY", stats, "run_us:" .. name, run_us)
        redis.call("HINCRBY", stats, "wait_us:" .. name, wait_us)
        waited, ran = waited + wait_us, ran + run_us
      end
    end
  end
end
local whole, failure = pcall(settle)
if not whole then
  -- What was settled before has left its slots, and they are counted before the error is told.
  save(q)
  return type(failure) == "table" and failure or redis.error_reply(failure)
end
series(q, 0, ended.completed, ended.failed, ended.retried, waited, ran)
if at <= #ARGV then
  local settled = table.concat(verdicts)
  while at <= #ARGV do
    note(q, at, settled)
    at = at + 9 + 4 * ARGV[at + 2]
  end
end
if rawget(q, "posted") then
  verdicts[#verdicts + 1] = "\n"
  verdicts[#verdicts + 1] = (redis.call("HGET", P .. "meta", "epoch") or "0") .. " "
  verdicts[#verdicts + 1] = table.concat(q.posted, " ")
end
local verdict = table.concat(verdicts)
remember(q, session, seq, verdict)
save(q)
return verdict
