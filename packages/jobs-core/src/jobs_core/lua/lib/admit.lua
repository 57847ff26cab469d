--- Reads the groups of new jobs in args[at] to args[to], checks them, and decides what becomes of each; nothing is written.
-- Returns what `enter` writes, with `verdict` (of each job) and `added` (by name@version), or one with `err`.
-- INCLUDE: head_start
local function admit(q, args, at, to)
  local P, sub, byte, pack = q.P, string.sub, string.byte, struct.pack
  local groups, own, tombs = {}, {}, {}
  local count = 0
  while at <= to do
    local n, lead, name = tonumber(args[at]), args[at + 1], args[at + 2]
    local _, flags, _, priority = byte(lead or "", 1, 4)
    local first = at + 6
    local last = first + (n or 0) * 2 - 1
    if not priority or priority < 1 or priority > 5 or n < 1 or last > to then
      return redis.error_reply("BAD_RECORD of " .. (name or ""))
    end
    count = count + n
    if count > 1000 then
      return redis.error_reply("TOO_MANY jobs in one call")
    end
    local due = tonumber(args[at + 4])
    if due == 0 then
      due = q.ms + tonumber(args[at + 3])
    end
    groups[#groups + 1] = { first, last, lead, name, due > q.ms and due or 0, flags, priority }
    for i = first, last, 2 do
      local body = args[i + 1]
      local size = #body
      local name_len, key_len, high, low = byte(body, 1, 4)
      if size > 1310700 then
        return redis.error_reply("TOO_LARGE " .. args[i])
      elseif size < 16 or name_len ~= #name or size < 16 + name_len + key_len + high * 256 + low then
        return redis.error_reply("BAD_RECORD " .. args[i])
      end
    end
    if flags % 2 == 1 then
      for i = first, last, 2 do
        own[#own + 1] = args[i]
      end
    end
    at = last + 1
  end
  if own[1] then
    local till = redis.call("ZMSCORE", P .. "tomb", unpack(own))
    for i = 1, #own do
      tombs[own[i]] = till[i] and tonumber(till[i]) > q.ms
    end
  end

  local verdicts, recs, bigs, ready, delayed, added = {}, {}, {}, {}, {}, {}
  local fresh, alive = {}, {}
  local stamp = math.max(q.stamp + 1, q.now)
  local n, waiting, first_due = 0, 0, nil
  for g = 1, #groups do
    local first, last, lead, name, due, flags, priority = unpack(groups[g])
    local is_own, before = flags % 2 == 1, head_start(q, priority)
    local before_group, place, header = n, nil, nil
    for i = first, last, 2 do
      local id, body = args[i], args[i + 1]
      if tombs[id] then
        verdicts[#verdicts + 1] = "0"
      else
        if is_own then
          tombs[id] = true
          fresh[#fresh + 1] = id
          alive[#alive + 1] = "inf"
          alive[#alive + 1] = id
        end
        if is_own or not header then
          -- Made ids sort by time, so a whole group shares one stamp; formatting a number costs more than storing the job.
          place = string.format("%.0f", due > 0 and due * 16 + priority or stamp + before)
          header = pack(">c4I8I8", lead, stamp, due)
          stamp = stamp + 1
        end
        recs[n + 1] = id
        if #body > 65516 then
          local head = 16 + byte(body, 1) + byte(body, 2) + byte(body, 3) * 256 + byte(body, 4)
          bigs[#bigs + 1] = P .. "big:" .. id
          bigs[#bigs + 1] = sub(body, head + 1)
          local big_lead = pack("BBBB", 1, flags + 2, 0, priority)
          recs[n + 2] = table.concat({ big_lead, sub(header, 5), sub(body, 1, head) })
        else
          recs[n + 2] = header .. body
        end
        n = n + 2
        if due == 0 then
          ready[waiting + 1] = place
          ready[waiting + 2] = id
          waiting = waiting + 2
        else
          delayed[#delayed + 1] = place
          delayed[#delayed + 1] = id
          first_due = math.min(first_due or due, due)
        end
        verdicts[#verdicts + 1] = "1"
      end
    end
    if n > before_group then
      added[name] = (added[name] or 0) + (n - before_group) / 2
    end
  end
  return {
    verdict = table.concat(verdicts),
    added = added,
    recs = recs,
    bigs = bigs,
    ready = ready,
    delayed = delayed,
    first_due = first_due,
    fresh = fresh,
    alive = alive,
    stamp = stamp - 1,
  }
end
