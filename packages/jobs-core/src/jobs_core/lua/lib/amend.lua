--- Writes what `compose` found besides: jobs that leave a home, expiries, unique keys, and budgets that start anew.
-- INCLUDE: leave unpark succeed history
local function amend(q, more)
  local P = q.P
  local function write(command, key, entries)
    if entries[1] then
      redis.call(command, P .. key, unpack(entries))
    end
  end
  write("ZADD", "blocked", more.blocked)
  write("ZREM", "delayed", more.due)
  write("ZREM", "unroutable", more.unroutable)
  unpark(q, more.parked)
  write("ZADD", "expiring", more.expiring)
  write("ZREM", "expiring", more.lasting)
  if more.small[1] then
    redis.call("UNLINK", unpack(more.small))
  end
  if more.anew[1] and redis.call("EXISTS", P .. "state", P .. "history", P .. "progress", P .. "checkpoint") > 0 then
    -- What an earlier payload spent and left is not the newer one's; only when it was ready stays.
    local states, entries = redis.call("HMGET", P .. "state", unpack(more.anew)), {}
    for i = 1, #more.anew do
      if states[i] then
        local _, _, _, _, again = history(states[i])
        entries[#entries + 1] = more.anew[i]
        entries[#entries + 1] = struct.pack(">I4I4I4BI8", 0, 0, 0, 0, more.moved[more.anew[i]] and 0 or again)
      end
    end
    write("HSET", "state", entries)
    write("HDEL", "history", more.anew)
    write("HDEL", "progress", more.anew)
    write("HDEL", "checkpoint", more.anew)
  end
  write("HSET", "uniq", more.uniq)
  write("ZREM", "uniq.due", more.timeless)
  write("ZADD", "uniq.due", more.until_ms)
  write("HSET", "uniq.next", more.behind)
  succeed(q, more.heirs)
end
