--- What mends what is told of a queue besides its jobs, by code: logs, minutes and histograms, streams, what was applied, dead letters.
-- INCLUDE: letters_of recount
local function told_menders(q)
  local P = q.P
  local function last(key)
    local entry = redis.call("XREVRANGE", P .. key, "+", "-", "COUNT", 1)[1]
    return entry and tonumber((string.gsub(entry[1], "-.*", ""))) or 0
  end
  local function cut(key, from)
    return redis.call("XTRIM", P .. key, "MINID", string.format("%.0f", math.max(from, 0)))
  end
  -- The hash of the clocks has to be as far as the stream, or nothing more could be entered.
  local function catch_up(field, known, at)
    if at > known then
      q.fields[#q.fields + 1], q.fields[#q.fields + 2] = field, string.format("%.0f", at)
    end
    return at > known
  end
  local letters
  return {
    letters = function(queue)
      letters = letters or letters_of(P)
      if not letters then
        return nil
      end
      return recount(P .. "letters.kept", queue, letters[queue] or 0)
    end,
    log = function(id)
      local key, said = P .. "log:" .. id, redis.call("HGET", P .. "logs", id)
      local cutoff = redis.call("XTRIM", key, "MAXLEN", 1000)
      local lines, bytes = redis.call("XRANGE", key, "-", "+"), 0
      for i = 1, #lines do
        bytes = bytes + #(lines[i][2][2] or "")
      end
      local n, over = #lines, {}
      while bytes > 262144 do
        over[#over + 1] = lines[#over + 1][1]
        n, bytes = n - 1, bytes - #(lines[#over][2][2] or "")
      end
      if over[1] then
        redis.call("XDEL", key, unpack(over))
      end
      if n == 0 then
        redis.call("UNLINK", key)
        return redis.call("HDEL", P .. "logs", id) == 1
      end
      local gone = cutoff + #over + (said and #said == 12 and select(3, struct.unpack(">I4I4I4", said)) or 0)
      local right = struct.pack(">I4I4I4", n, bytes, gone)
      redis.call("HSET", P .. "logs", id, right)
      return right ~= said
    end,
    measure = function(key)
      local family, name = string.match(key, "^(%l+):(.+)$")
      local most, index = family == "series" and 46080 or 696, P .. (family == "series" and "series.due" or "hist.names")
      local size, entered = redis.call("STRLEN", P .. key), redis.call("ZSCORE", index, name)
      if size == 0 then
        return false
      end
      local at = family == "series" and (tonumber(name) or 0) * 86400000 + 7862400000 or q.ms
      if size > most then
        local head = redis.call("GETRANGE", P .. key, 0, most - 1)
        redis.call("SET", P .. key, head)
      end
      if not entered then
        redis.call("ZADD", index, string.format("%.0f", at), name)
      end
      return size > most or not entered
    end,
    stream = function(key)
      local at = last(key)
      if key == "out" then
        local behind = at > q.stored
        q.stamp = math.max(q.stamp, at)
        return behind
      end
      local field = key == "events" and "told" or "rows"
      local known = tonumber(redis.call("HGET", P .. "meta", field) or 0)
      local behind, far = catch_up(field, known, at), math.max(known, at)
      return cut(key, far - (key == "events" and 4194304 or 10000)) > 0 or behind
    end,
    applied = function(origin)
      local low = redis.call("HGET", P .. "inlow", origin) or "0"
      return redis.call("ZREMRANGEBYSCORE", P .. "in:" .. origin, "-inf", table.concat({ "(", low })) > 0
    end,
  }
end
