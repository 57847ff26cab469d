--- Takes the next step (256 jobs or 1 MiB, 128 keys) of filing the waiting jobs by key, where the queue became keyed, or of
-- undoing that. Jobs taken before are not counted by key. Returns whether there is more to do.
-- INCLUDE: file position
local function reindex(q, g)
  local f, P = q.flow, q.P
  if f.index == 0 and g.keyed then
    f.index, f.since, f.fifo, f.rules = 1, q.stamp + 1, g.fifo and 1 or 0, g.rules
  elseif f.index ~= 0 and (not g.keyed or g.fifo ~= (f.fifo == 1)) then
    f.index = 3
  end
  if f.index == 1 then
    local start, at, id = 0, string.match(redis.call("HGET", P .. "meta", "indexed") or "", "^(%S+) (.+)$")
    if at then
      local before, there = position(P .. "waiting", at, id)
      start = before + (there and 1 or 0)
    end
    local done, read, last = 0, 0, nil
    while done < 256 and read < 1048576 do
      local found = redis.call("ZRANGE", P .. "waiting", start + done, start + done + 31, "WITHSCORES")
      local ids, scores = {}, {}
      for i = 1, #found, 2 do
        ids[#ids + 1], scores[#scores + 1] = found[i], found[i + 1]
      end
      if ids[1] then
        local recs = redis.call("HMGET", P .. "rec", unpack(ids))
        for i = 1, #ids do
          read = read + #(recs[i] or "")
        end
        file(q, ids, scores, recs, function() end)
        last = scores[#ids] .. " " .. ids[#ids]
      end
      done = done + #ids
      if #ids < 32 then
        f.index = 2
        redis.call("HDEL", P .. "meta", "indexed")
        return false
      end
    end
    redis.call("HSET", P .. "meta", "indexed", last)
    return true
  elseif f.index == 3 then
    local some = false
    redis.call("HDEL", P .. "meta", "indexed", "reviewed")
    for _, home in ipairs({ "ring", "kparked" }) do
      local keys, names = redis.call("ZRANGE", P .. home, 0, 127), {}
      for i = 1, #keys do
        names[i] = P .. "k:" .. keys[i]
      end
      if keys[1] then
        some = true
        redis.call("UNLINK", unpack(names))
        redis.call("ZREM", P .. home, unpack(keys))
      end
    end
    if not some then
      redis.call("UNLINK", P .. "kactive", P .. "kbucket")
      f.index, f.since = 0, 0
    end
    return some or g.keyed
  end
  return false
end
