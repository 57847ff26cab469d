--- Ends an owner: returns at most 128 of its jobs (32 where all are charged), and about 256 KiB of records and of what is sent on, to `waiting`, each to the score it had; `charged` ids spend one crash.
-- `lost` says that its lease ran out, which is counted; `suspect`, that whoever of the others has no crash may have killed the worker.
-- A job that was to stop ends as cancelled, one over its crash budget fails for good as poison. Returns the ids given back, the ids failed, and how many remain.
-- INCLUDE: record history ready_at score to_ready finish freed call_off tell note_end series count_error
local function give_back(q, owner, charged, lost, suspect)
  local P = q.P
  local active = P .. "active:" .. owner
  local found, all = redis.call("ZRANGE", active, 0, charged == "all" and 31 or 127, "WITHSCORES"), {}
  for i = 1, #found, 2 do
    all[#all + 1] = found[i]
  end
  local back, poisoned, pairs, spent, back_recs, ended = {}, {}, {}, {}, {}, { {}, {} }
  local ids, fences, recs, states, bytes = {}, {}, {}, {}, 0
  for i = 1, #all do
    if bytes >= 262144 then
      break
    end
    if i % 8 == 1 then
      local some = { unpack(all, i, math.min(i + 7, #all)) }
      local its, entries = redis.call("HMGET", P .. "rec", unpack(some)), redis.call("HMGET", P .. "state", unpack(some))
      for j = 1, #some do
        recs[i + j - 1], states[i + j - 1] = its[j], entries[j]
      end
    end
    local id = all[i]
    ids[i], fences[i] = id, found[2 * i]
    if recs[i] then
      local flags, priority, stamp, due_ms, name = record(recs[i])
      bytes = bytes + #recs[i]
      local attempts, crashes, releases, cancel, again = history(states[i])
      if lost then
        redis.call("HINCRBY", P .. "stats", "lost:" .. name, 1)
      end
      local guilty = charged == "all" or charged[id]
      if guilty then
        crashes = crashes % 2147483648 + 1
        redis.call("HINCRBY", P .. "stats", "stalled:" .. name, 1)
      else
        crashes = suspect and crashes == 0 and 2147483648 or crashes
        releases = releases + 1
      end
      tell(q, guilty and "stalled" or "released", { id }, { recs[i] }, { states[i] })
      spent[#spent + 1] = id
      spent[#spent + 1] = struct.pack(">I4I4I4BI8", attempts, crashes, releases, cancel, again)
      if cancel ~= 0 then
        table.insert(ended[1], id)
        table.insert(ended[2], recs[i])
      elseif guilty and crashes > q.max_stalled then
        poisoned[#poisoned + 1] = id
        if flags % 4 > 1 then
          bytes = bytes + redis.call("STRLEN", P .. "big:" .. id)
        end
        finish(q, "failed", { id }, { string.format("poison %.0f %.0f", crashes, attempts) }, { -1, -1, -1 }, 0, flags == 0)
        redis.call("HINCRBY", P .. "stats", "failed:" .. name, 1)
        note_end(q, "failed", { id }, { recs[i] }, { states[i] }, "poison")
        series(q, 0, 0, 1, 0, 0, 0)
        count_error(q, name, "crash", 1)
      else
        back[#back + 1] = id
        pairs[#pairs + 1] = score(q, ready_at(stamp, due_ms, again), priority)
        pairs[#pairs + 1] = id
        back_recs[#back] = recs[i]
      end
    end
  end
  if ids[1] then
    to_ready(q, pairs, back_recs)
    if spent[1] then
      redis.call("HSET", P .. "state", unpack(spent))
    end
    call_off(q, ended[1], ended[2])
    redis.call("ZREM", active, unpack(ids))
    freed(q, recs, fences)
    q.active = q.active - #ids
  end
  local left = redis.call("ZCARD", active)
  -- The dead are kept for 10 min with a negative score, so a thawed one is refused whatever it sends; -1 still has jobs to return.
  redis.call("ZADD", P .. "owners", left > 0 and -1 or -q.ms, owner)
  redis.call("ZREM", P .. "idle", owner)
  if redis.call("HGET", P .. "meta", "alarm_owner") == owner then
    redis.call("HDEL", P .. "meta", "alarm", "alarm_owner")
    q.need = math.max(q.need, 1)
  end
  return back, poisoned, left
end
