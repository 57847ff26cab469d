--- Hears that jobs ended which a flow follows: `edges` is {ordinal, mode, sign, who, told} of each. An edge counts once, however often it comes.
-- Signs: c completed, f failed, x cancelled, e expired, r removed, s skipped, m missing. Modes say what an end that is no completion does:
-- f the job that waits fails, i it runs nevertheless, c it runs at once, r the edge is as if it had never been, s it is skipped;
-- of x it is skipped unless this one failed, of a only where that was skipped; of n the flow counts a failure, of o it does not.
-- What is told of an edge (of one that completed without a result nothing) is kept behind its sign.
-- INCLUDE: flow_ended fire unblock give_up flow_keys
local function resolve(q, id, edges)
  local P = q.P
  local keys = flow_keys(P, id)
  local f = redis.call("HMGET", keys.flow, "kind", "n")
  if not f[1] then
    -- Who was told before what it is told for: kept for a day. What is known to have been is over.
    if not redis.call("ZSCORE", P .. "tomb", id) then
      local early = { redis.call("HGET", P .. "early", id) or "" }
      for i = 1, #edges do
        local e = edges[i]
        early[i + 1] = table.concat({ struct.pack(">I4c1c1I2I4", e[1], e[2], e[3], #e[4], #e[5]), e[4], e[5] })
      end
      redis.call("HSET", P .. "early", id, table.concat(early))
      redis.call("ZADD", P .. "early.due", q.ms + 86400000, id)
    end
    return
  end
  local new, bad, counts, kept = 0, 0, {}, {}
  local verdict, why = nil, nil
  for i = 1, #edges do
    local ordinal, mode, sign, _, told = unpack(edges[i])
    local ok = sign == "c"
    local counted, fresh = ok or mode == "r", true
    if redis.call("SETBIT", keys.done, ordinal, 1) == 1 then
      local before = redis.call("HGET", keys.results, ordinal)
      fresh = false
      -- One that had failed and was retried may complete after all; nothing else is news.
      if ok and before and string.sub(before, 1, 1) ~= "c" then
        local was = string.sub(before, 1, 1)
        counts[was] = (counts[was] or 0) - 1
        counts.c = (counts.c or 0) + 1
        bad = bad - ((mode == "n" and was ~= "s") and 1 or 0)
        kept[#kept + 1], kept[#kept + 2] = ordinal, table.concat({ "c", told })
      end
    else
      new = new + 1
      counts[sign] = (counts[sign] or 0) + 1
      bad = bad + ((mode == "n" and not ok and sign ~= "s") and 1 or 0)
      if told ~= "" and not (mode == "r" and not ok) then
        kept[#kept + 1], kept[#kept + 2] = ordinal, table.concat({ sign, told })
      end
    end
    if fresh and f[1] == "j" then
      local skips = mode == "s" and not ok or mode == "x" and (ok or sign == "s") or mode == "a" and sign == "s"
      if mode == "f" and not counted then
        skips = sign == "s"
        if not skips then
          verdict, why = "failed", edges[i]
        end
      end
      if skips and verdict ~= "failed" then
        verdict, why = "cancelled", edges[i]
      elseif mode == "c" and not ok then
        verdict = verdict or "go"
      end
    end
  end
  if kept[1] then
    redis.call("HSET", keys.results, unpack(kept))
  end
  local resolved = redis.call("HINCRBY", keys.flow, "resolved", new)
  for sign, n in pairs(counts) do
    redis.call("HINCRBY", keys.flow, sign, n)
  end
  if f[1] == "j" then
    if verdict == "failed" or verdict == "cancelled" then
      give_up(q, id, verdict, table.concat({ why[3], " ", why[4] }))
    elseif verdict == "go" or new > 0 and resolved == tonumber(f[2]) then
      unblock(q, id)
    end
  else
    if bad ~= 0 and redis.call("HINCRBY", keys.flow, "bad", bad) > 0 and bad > 0 then
      fire(q, id, "failure")
    end
    flow_ended(q, id)
  end
end
