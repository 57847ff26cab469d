--- Picks the jobs that a claim takes of a keyed queue: the keys in turn, of each the first of its jobs. What `allow` says of
-- a job: true take it, false pass it over, nil end here. A key that is passed over gives way; one at its limit is parked.
-- Returns as `pick` does, and a plan of what to write: {score, key, …} for `ring`, `kparked` and `kbucket`, fields of
-- `kactive`, keys that are `out`, {key, id} without a record as `ghosts`, how many keys are `spent`. Nothing is changed.
-- INCLUDE: position bucket stale lasts
local function pick_by_key(q, g, want, max_bytes, limits, after, allow)
  local P, f = q.P, q.flow
  local ids, taken, gone, cursor = {}, {}, {}, ""
  local plan = { ring = { "XX" }, kparked = {}, kbucket = {}, kactive = {}, out = {}, ghosts = {}, spent = 0 }
  local bytes, looked, read, step, full, stop = 0, 0, 0, math.min(want, 16), false, false
  local room = {}
  for name, n in string.gmatch(limits, "([^,=]+)=(%d+)") do
    room[name] = tonumber(n)
  end
  local start, at, last_key = 0, string.match(after, "^(%S+) (.+)$")
  if at then
    local before, there = position(P .. "ring", at, last_key)
    start = before + (there and 1 or 0)
  end

  local line, head, horizon, ended, last = {}, 1, -1, false, nil
  local touched = {}
  local function insert(e)
    local i = #line
    line[i + 1] = e
    while i >= head and line[i].turn > e.turn do
      line[i], line[i + 1] = e, line[i]
      i = i - 1
    end
  end
  -- A time that ends in a half says that it is tokens for which the key waits: they may come earlier, by another limit.
  local function park(e, till)
    e.parked = till
    if till then
      local n = #plan.kparked
      plan.kparked[n + 1], plan.kparked[n + 2] = till, e.key
      plan.out[#plan.out + 1] = e.key
    end
  end
  -- Reads the next keys of the ring with what their limits ask for.
  local function fetch()
    local n = math.min(math.max(want - #ids, 16), 128)
    local found, keys, names = redis.call("ZRANGE", P .. "ring", start, start + n - 1, "WITHSCORES"), {}, {}
    ended = #found < 2 * n
    start = start + n
    if not found[1] then
      return
    end
    for i = 1, #found, 2 do
      local key = found[i]
      keys[#keys + 1] = key
      names[#names + 1] = "pause:key:" .. key
    end
    local runs = redis.call("HMGET", P .. "kactive", unpack(keys))
    local fulls = g.key_rate and redis.call("ZMSCORE", P .. "kbucket", unpack(keys)) or {}
    local held = g.pauses > 0 and redis.call("HMGET", P .. "cfg", unpack(names)) or {}
    for i = 1, #keys do
      local key, share = keys[i], 1
      if g.weights then
        local _, to = string.find(g.weights, "\n" .. key .. "=", 1, true)
        share = to and tonumber(string.match(g.weights, "^%d+", to + 1)) or 1
      end
      local e = { key = key, turn = tonumber(found[2 * i]), weight = share, ids = {}, recs = {}, at = 0, from = 0 }
      e.runs, e.full, e.more = tonumber(runs[i] or 0), tonumber(fulls[i] or 0), true
      if key ~= "" and lasts(q, held[i]) then
        park(e, held[i] == "0" and "inf" or tonumber(held[i]))
      elseif key ~= "" and g.key_active and e.runs >= g.key_active then
        park(e, "inf")
      else
        local from = g.key_rate and e.full > 0 and bucket(g.key_rate, e.full, q.now, 0) or e.full
        if from < e.full then
          -- Of another rate, or of a clock that jumped back: it fills from now on.
          e.full = from
          plan.kbucket[#plan.kbucket + 1], plan.kbucket[#plan.kbucket + 2] = from, key
        end
        insert(e)
      end
    end
    horizon, last = tonumber(found[#found]), found[#found] .. " " .. keys[#keys]
  end
  -- Reads the next jobs of the keys whose turn comes, some of each, as many as are likely to be taken.
  local function load()
    local lacking, asked, total = {}, {}, 0
    for i = head, #line do
      if line[i].at >= #line[i].ids and line[i].more and #lacking < step then
        lacking[#lacking + 1] = line[i]
      end
    end
    local each = math.ceil(step / #lacking)
    for i = 1, #lacking do
      local e, key = lacking[i], lacking[i].key
      local n = math.min(each * e.weight, 64)
      if g.key_active and key ~= "" then
        n = math.max(math.min(n, g.key_active - e.runs), 1)
      end
      local found = redis.call("ZRANGE", P .. "k:" .. key, e.from, e.from + n)
      e.more = #found > n
      e.from = e.from + math.min(#found, n)
      for j = 1, math.min(#found, n) do
        e.ids[#e.ids + 1] = found[j]
        total = total + 1
        asked[total] = found[j]
      end
    end
    local recs = asked[1] and redis.call("HMGET", P .. "rec", unpack(asked)) or {}
    local k = 0
    for i = 1, #lacking do
      local e = lacking[i]
      while #e.recs < #e.ids do
        k = k + 1
        e.recs[#e.recs + 1] = recs[k]
        read = read + (recs[k] and #recs[k] or 0)
      end
    end
    local fit = math.ceil((max_bytes - bytes) * math.max(looked + total, 1) / math.max(read, 1))
    step = math.max(math.min(want - #ids, fit, 64), 1)
  end

  while #ids < want and looked < 512 and read < 1048576 do
    if not ended and (head > #line or line[head].turn > horizon) then
      fetch()
    end
    local e = line[head]
    if not e then
      if ended then
        break
      end
    else
      if e.at >= #e.ids and e.more then
        load()
      end
      if e.at >= #e.ids then
        -- Nothing of it is left to look at.
        head = head + 1
        if #e.ids == 0 then
          plan.out[#plan.out + 1] = e.key
        end
      else
        e.at = e.at + 1
        looked = looked + 1
        local id, rec = e.ids[e.at], e.recs[e.at]
        if not rec then
          gone[#gone + 1] = id
          plan.ghosts[#plan.ghosts + 1] = { e.key, id }
        elseif #ids > 0 and bytes + #rec > max_bytes then
          full = true
          break
        else
          local name, cost = string.sub(rec, 37, 36 + string.byte(rec, 21)), math.max(string.byte(rec, 3), 1)
          local filled, wait, verdict = nil, 0, false
          if g.key_rate and e.key ~= "" then
            filled, wait = bucket(g.key_rate, e.full, q.now, cost)
          end
          if (room[name] or 1) > 0 and wait == 0 and not stale(q, id, rec) then
            verdict = allow(rec, name)
          end
          if verdict == nil then
            stop = true
            break
          elseif wait > 0 then
            head = head + 1
            park(e, math.ceil((q.now + wait) / 1000) - 0.5)
          elseif verdict then
            ids[#ids + 1], taken[#taken + 1] = id, rec
            bytes = bytes + #rec
            if room[name] then
              room[name] = room[name] - 1
            end
            f.turn = math.max(f.turn, e.turn)
            e.turn, e.runs, e.full = e.turn + math.floor(10000 / e.weight), e.runs + 1, filled or e.full
            head = head + 1
            if not e.touched then
              e.touched = true
              touched[#touched + 1] = e
            end
            if e.at < #e.ids or e.more then
              local _, again = 0, 0
              if filled then
                _, again = bucket(g.key_rate, filled, q.now, 1)
              end
              if e.key ~= "" and g.key_active and e.runs >= g.key_active then
                park(e, "inf")
              elseif again > 0 then
                park(e, math.ceil((q.now + again) / 1000) - 0.5)
              else
                insert(e)
              end
            end
          elseif g.fifo or e.at >= 64 then
            -- Its next job is none for now: the key gives way to the others.
            head = head + 1
            f.turn = math.max(f.turn, e.turn)
            e.turn = e.turn + 10000
            if not e.touched then
              e.touched = true
              touched[#touched + 1] = e
            end
          end
        end
      end
    end
  end
  for i = 1, #touched do
    local e = touched[i]
    local turns, runs, fulls = plan.ring, plan.kactive, plan.kbucket
    if not e.parked and e.at >= #e.ids and not e.more then
      plan.spent = plan.spent + 1
    elseif not e.parked then
      turns[#turns + 1], turns[#turns + 2] = e.turn, e.key
    end
    if e.key ~= "" then
      runs[#runs + 1], runs[#runs + 2] = e.key, e.runs
      if g.key_rate then
        fulls[#fulls + 1], fulls[#fulls + 2] = e.full, e.key
      end
    end
  end
  plan.spent = plan.spent + #plan.out
  if #ids < want and not stop then
    cursor = full and "0" or (looked >= 512 or read >= 4194304) and last or ""
  end
  return ids, taken, gone, cursor, plan
end
