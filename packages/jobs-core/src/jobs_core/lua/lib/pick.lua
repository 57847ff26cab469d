--- Picks the jobs that a claim takes: at most `want`, of records at most `max_bytes` (always one), of a name as many as `limits` says.
-- `after` is the place to go on from ("": the start). Returns ids, records, ids without a record, how many are left where the end
-- was seen (else nil), and where it stopped. Nothing is changed.
-- What `allow`, where there is one, says of a job: true take it, false pass it over (`picky`: it may), nil end here.
-- INCLUDE: position stale
local function pick(q, want, max_bytes, limits, after, allow, picky)
  local P = q.P
  local ids, taken, count, bytes, gone, left, cursor = {}, {}, 0, 0, {}, nil, ""
  local byte, sub, looked = string.byte, string.sub, picky or allow
  local room = {}
  for name, n in string.gmatch(limits, "([^,=]+)=(%d+)") do
    room[name] = tonumber(n)
  end
  -- A few records show how large they are here; how many more are read follows from that.
  local offset, read, step, full, most, last = 0, 0, math.min(want, 16), false, want + 512
  local stop = false
  if picky then
    step, most = 16, 512
  end
  local start, from, id = 0, string.match(after, "^(%S+) (.+)$")
  if from then
    local before, there = position(P .. "waiting", from, id)
    start = before + (there and 1 or 0)
  end
  repeat
    local heads = redis.call("ZRANGE", P .. "waiting", start + offset, start + offset + step - 1)
    local recs = heads[1] and redis.call("HMGET", P .. "rec", unpack(heads)) or {}
    for i = 1, #heads do
      local rec = recs[i]
      local size = rec and #rec or 0
      read = read + size
      if not rec then
        gone[#gone + 1] = heads[i]
      elseif count >= want or (count > 0 and bytes + size > max_bytes) then
        full = true
        break
      else
        local name = looked and sub(rec, 37, 36 + byte(rec, 21))
        local fits = (not name or (room[name] or 1) > 0) and (byte(rec, 2) < 4 or not stale(q, heads[i], rec))
        if fits and allow then
          fits = allow(rec, name)
        end
        if fits == nil then
          stop = true
          break
        elseif fits then
          count = count + 1
          ids[count], taken[count] = heads[i], rec
          bytes = bytes + size
          if name and room[name] then
            room[name] = room[name] - 1
          end
        end
      end
    end
    if stop then
      return ids, taken, gone, nil, ""
    end
    offset, last = offset + #heads, heads[#heads]
    if #heads < step then
      left, last = not full and after == "" and offset - #ids - #gone or nil, nil
      break
    end
    local fit = math.ceil((max_bytes - bytes) * offset / math.max(read, 1))
    -- Where some were passed over, others are likely to be.
    local next_ones = picky and 64 or math.max(want - #ids, offset > #ids + #gone and 16 or 1)
    step = math.max(math.min(next_ones, fit, 64), 1)
    -- A name at its own limit is passed over; how far one call looks past it is bounded, and the next goes on there.
  until full or #ids >= want or offset >= most or read >= 1048576
  if #ids < want then
    -- "0": what was taken fills the call, so there is more from the start on.
    cursor = full and "0" or last and redis.call("ZSCORE", P .. "waiting", last) .. " " .. last or ""
  end
  return ids, taken, gone, left, cursor
end
