--- Hears that jobs ended which a flow follows: `edges` is {ordinal, mode, sign, who, told} of each. An edge counts once, however often it comes.
-- Signs: c completed, f failed, x cancelled, e expired, r removed, s skipped, m missing. Modes say what an end that is no completion does:
-- f the job that waits fails, i it runs nevertheless, c it runs at once, r the edge is as if it had never been, s it is skipped;
-- of x it is skipped unless this one failed, of a only where that was skipped; of n the flow counts a failure, of o it does not.
-- n, o and p are the modes of flows of their own, the others those of a job that waits; p is n of the parent of all, which is cancelled with
-- the whole flow. What is told of an edge (of one that completed without a result nothing) is kept behind its sign. A digit behind the mode is the generation of a flow that was retried: ends of
-- those before are no news then, unless a job completed after all. Of a job of a tree that was cancelled the children are cancelled as well.
-- INCLUDE: flow_ended flow_halt fire decide flow_keys post
local function resolve(q, id, edges)
  local P, joins = q.P, string.find(edges[1][2], "^[nop]") == nil
  local keys = flow_keys(P, id, joins)
  local f = redis.call("HMGET", keys.flow, "n", "gen", "opened")
  local n, since, opened = tonumber(f[1] or nil), tonumber(f[2] or 0), f[3]
  if not n then
    local till = joins and redis.call("ZSCORE", P .. "tomb", id)
    if not joins or till and till ~= "inf" then
      -- It is over, and nothing is told to it any more.
      return
    end
    -- Who was told before what it is told for: kept for a day.
    redis.call("ZADD", P .. "early", string.format("%.0f", q.ms + 86400000), id)
  end
  -- A key of another type must show before the first write.
  redis.call("HEXISTS", keys.results, "")
  local new, bad, counts, kept = 0, 0, {}, {}
  local verdict, why, halted, off = nil, nil, false, {}
  for i = 1, #edges do
    local ordinal, mode, sign, who, told = unpack(edges[i])
    local ok, gen = sign == "c", tonumber(string.sub(mode, 2)) or 0
    mode = string.sub(mode, 1, 1)
    local top = mode == "p"
    mode = top and "n" or mode
    -- One of a generation before runs again, or has by now; of a job that waits those alone that it was to wait for again.
    local old = gen < since and (not opened or string.find(opened, string.format(" %.0f ", ordinal), 1, true))
    local stale, fresh, again = not ok and old, false, false
    if sign == "x" and not stale and not joins then
      halted = halted or top
      off[#off + 1] = ordinal
    end
    if gen > 0 and not stale then
      redis.call("HSET", keys.flow, string.format("g:%.0f", ordinal), gen)
    end
    if not stale and redis.call("SETBIT", keys.done, ordinal, 1) == 1 then
      local before = redis.call("HGET", keys.results, ordinal)
      again = (before and string.sub(before, 1, 1) or "c") == sign
      -- One that had failed and was retried may complete after all; nothing else is news.
      if ok and before and string.sub(before, 1, 1) ~= "c" then
        local was = string.sub(before, 1, 1)
        counts[was] = (counts[was] or 0) - 1
        counts.c = (counts.c or 0) + 1
        bad = bad - ((mode == "n" and was ~= "s") and 1 or 0)
        redis.call("HDEL", keys.results, ordinal)
        if told ~= "" then
          kept[#kept + 1], kept[#kept + 2] = ordinal, table.concat({ "c", told })
        end
        redis.call("HDEL", keys.flow, string.format("v:%.0f", ordinal))
      end
    elseif not stale then
      fresh = true
      new = new + ((not n or ordinal < n) and 1 or 0)
      counts[sign] = (counts[sign] or 0) + 1
      bad = bad + ((mode == "n" and not ok and sign ~= "s") and 1 or 0)
      if told ~= "" then
        kept[#kept + 1], kept[#kept + 2] = ordinal, table.concat({ sign, told })
      end
    end
    -- Of the same end that comes again too: whoever heard it first may have failed midway.
    local skips = (mode == "s" and not ok) or (mode == "x" and (ok or sign == "s")) or (mode == "a" or mode == "f") and sign == "s"
    local decided = skips and "cancelled" or mode == "f" and not ok and "failed" or mode == "c" and not ok and "go"
    local counts_now = fresh or again and decided ~= "go"
    if decided and counts_now and (not verdict or verdict == "go" or decided == "failed" and verdict == "cancelled") then
      verdict, why = decided, table.concat({ sign, " ", who })
    end
    if decided and fresh then
      redis.call("HSET", keys.flow, string.format("v:%.0f", ordinal), table.concat({ decided, " ", sign, " ", who }))
    end
  end
  if kept[1] then
    redis.call("HSET", keys.results, unpack(kept))
  end
  for sign, count in pairs(counts) do
    redis.call("HINCRBY", keys.flow, sign, count)
  end
  local resolved = n and redis.call("HINCRBY", keys.flow, "resolved", new)
  if not joins then
    if off[1] and redis.call("HGET", keys.flow, "state") == "running" then
      if halted then
        flow_halt(q, id)
      else
        local nodes = redis.call("HMGET", keys.nodes, unpack(off))
        for i = 1, #off do
          local said = nodes[i] and cmsgpack.unpack(nodes[i])
          if said and said[6] then
            post(q, string.match(P, "{(.*)}"), { "cancel_below", cmsgpack.pack({ id, said[6][1], said[6][2] }) })
          end
        end
      end
    end
    if bad ~= 0 and redis.call("HINCRBY", keys.flow, "bad", bad) > 0 and bad > 0 then
      fire(q, id, "failure")
    end
    flow_ended(q, id)
  elseif verdict then
    if not (n and decide(q, id, verdict, why)) and (new > 0 or not n) then
      -- It does not wait now; when it does, it finds this.
      redis.call("HSET", keys.flow, "verdict", verdict, "why", why)
    end
  elseif n and resolved >= n then
    unblock(q, id)
  end
end
