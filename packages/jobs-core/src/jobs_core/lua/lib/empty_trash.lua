--- Empties what obliterate put into the trash, at most 500 jobs or 16 MiB, 500 awaited ones, 500 logs, 500 followed ones and 400 flows; who follows one hears that it
-- was removed. Returns how many went, and how many are left.
-- INCLUDE: tell_ends forget_flows
local function empty_trash(q)
  local P = q.P
  local hashes = { P .. "trash.rec", P .. "trash.waiters", P .. "trash.logs", P .. "trash.follows" }
  local sets = { P .. "trash.flows", P .. "trash.flows.ended", P .. "trash.joins", P .. "trash.early" }
  if redis.call("EXISTS", unpack(sets)) + redis.call("EXISTS", unpack(hashes)) == 0 then
    return 0, 0
  end
  local ids, bytes, done = redis.call("HRANDFIELD", P .. "trash.rec", 500), 0, 0
  while done < #ids and bytes < 16777216 do
    local some = { unpack(ids, done + 1, math.min(done + 16, #ids)) }
    for i = 1, #some do
      local id = some[i]
      bytes = bytes + redis.call("HSTRLEN", P .. "trash.rec", id) + redis.call("STRLEN", P .. "big:" .. id)
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
  local followed, ends, told = redis.call("HRANDFIELD", P .. "trash.follows", 500), {}, 0
  bytes = 0
  while told < #followed and bytes < 524288 do
    told = told + 1
    local edges = redis.call("HGET", P .. "trash.follows", followed[told])
    ends[told] = { edges, followed[told], "removed", "" }
    bytes = bytes + #edges
    redis.call("HDEL", P .. "trash.follows", followed[told])
  end
  tell_ends(q, ends)
  local flows = 0
  for i = 1, #sets do
    local popped, gone, joins = redis.call("ZPOPMIN", sets[i], 100), {}, i > 2
    for j = 1, #popped, 2 do
      -- One of the same id may be there again.
      local there = false
      for _, name in ipairs(joins and { "joins", "early" } or { "flows", "flows.ended" }) do
        there = there or redis.call("ZSCORE", P .. name, popped[j])
      end
      gone[#gone + 1] = not there and popped[j] or nil
    end
    forget_flows(q, gone, joins)
    flows = flows + #popped / 2
    left = left + redis.call("ZCARD", sets[i])
  end
  for i = 1, #hashes do
    left = left + redis.call("HLEN", hashes[i])
  end
  return done + #awaited + #logged + told + flows, left
end
