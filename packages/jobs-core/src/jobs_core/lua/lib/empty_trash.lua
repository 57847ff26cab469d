--- Empties what obliterate put into the trash, at most 500 jobs, 500 awaited ones and 500 logs. Returns how many went, and how many are left.
local function empty_trash(q)
  local P = q.P
  if redis.call("EXISTS", P .. "trash.rec", P .. "trash.waiters", P .. "trash.logs") == 0 then
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
  for _, key in ipairs({ P .. "trash.rec", P .. "trash.waiters", P .. "trash.logs" }) do
    left = left + redis.call("HLEN", key)
  end
  return done + #awaited + #logged, left
end
