--- Empties what obliterate put into the trash, at most 500 jobs, 500 awaited ones, 500 logs, 500 followed ones and 100 flows; who follows one hears that it
-- was removed. Returns how many went, and how many are left.
-- INCLUDE: tell_ends forget_flows
local function empty_trash(q)
  local P = q.P
  local hashes = { P .. "trash.rec", P .. "trash.waiters", P .. "trash.logs", P .. "trash.follows" }
  if redis.call("EXISTS", P .. "trash.flows", unpack(hashes)) == 0 then
    return 0, 0
  end
  local ids, bytes, done = redis.call("HRANDFIELD", P .. "trash.rec", 500), 0, 0
  while done < #ids and bytes < 1048576 do
    local some = { unpack(ids, done + 1, math.min(done + 16, #ids)) }
    local recs = redis.call("HMGET", P .. "trash.rec", unpack(some))
    for i = 1, #some do
      local id = some[i]
      -- What is only freed, and not read, costs a fraction.
      bytes = bytes + #recs[i] + redis.call("STRLEN", P .. "big:" .. id) / 32
      -- An id the caller gave may be there again, and then what lies apart is that job's.
      if redis.call("HEXISTS", P .. "rec", id) == 0 then
        redis.call("UNLINK", P .. "big:" .. id)
      end
    end
    redis.call("HDEL", P .. "trash.rec", unpack(some))
    done = done + #some
  end
  local awaited = redis.call("HRANDFIELD", P .. "trash.waiters", 500)
  for i = 1, #awaited do
    local id = awaited[i]
    for inbox in string.gmatch(redis.call("HGET", P .. "trash.waiters", id), "%S+") do
      redis.pcall("SPUBLISH", P .. "inbox:" .. inbox, "removed " .. id)
    end
    redis.call("HDEL", P .. "trash.waiters", id)
  end
  local logged, left = redis.call("HRANDFIELD", P .. "trash.logs", 500), 0
  for i = 1, #logged do
    local id = logged[i]
    if redis.call("HEXISTS", P .. "logs", id) == 0 then
      redis.call("UNLINK", P .. "log:" .. id)
    end
    redis.call("HDEL", P .. "trash.logs", id)
  end
  local followed, ends = redis.call("HRANDFIELD", P .. "trash.follows", 500), {}
  for i = 1, #followed do
    for edge in string.gmatch(redis.call("HGET", P .. "trash.follows", followed[i]), "[^;]+") do
      ends[#ends + 1] = { edge, followed[i], "removed", "" }
    end
    redis.call("HDEL", P .. "trash.follows", followed[i])
  end
  tell_ends(q, ends)
  local flows, gone = redis.call("ZPOPMIN", P .. "trash.flows", 100), {}
  for i = 1, #flows, 2 do
    -- One of the same id may be there again.
    if not redis.call("ZSCORE", P .. "joins", flows[i]) and not redis.call("ZSCORE", P .. "flows", flows[i]) then
      gone[#gone + 1] = flows[i]
    end
  end
  forget_flows(q, gone)
  for i = 1, #hashes do
    left = left + redis.call("HLEN", hashes[i])
  end
  left = left + redis.call("ZCARD", P .. "trash.flows")
  return done + #awaited + #logged + #followed + #flows / 2, left
end
