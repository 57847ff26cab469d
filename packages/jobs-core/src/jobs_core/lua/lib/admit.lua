--- Reads the groups of new jobs in args[at] to args[to], checks them, and decides what becomes of each; nothing is written.
-- `bounded` says that a full queue takes no more, `derived` that ids of our making follow from other jobs, so that one may be there. Returns what `enter` writes, with `verdict` (of each job, then who stands for it) and
-- `added` (by name@version), or one with `err`.
-- INCLUDE: head_start choices ordinals unique_of has holders dispute room compose
local function admit(q, args, at, to, bounded, derived)
  local P, sub, byte, pack = q.P, string.sub, string.byte, struct.pack
  local groups, own, made_up, tombs, keys = {}, {}, {}, {}, {}
  local count, total = 0, 0
  while at <= to do
    local n, lead, name = tonumber(args[at]), args[at + 1], args[at + 2]
    local _, flags, _, priority = byte(lead or "", 1, 4)
    local first = at + 6
    local last = first + (n or 0) * 2 - 1
    if not priority or priority < 1 or priority > 5 or n < 1 or last > to then
      return redis.error_reply("BAD_RECORD of " .. (name or ""))
    end
    count = count + n
    if count > 128 then
      return redis.error_reply("TOO_MANY jobs in one call")
    end
    local due = tonumber(args[at + 4])
    if due == 0 then
      due = q.ms + tonumber(args[at + 3])
    end
    local how = args[at + 5] ~= "" and choices(args[at + 5]) or nil
    local edges = how and how.edges
    if edges then
      how.edges = nil
      how = next(how) and how or nil
    end
    -- The job of a schedule keeps the time that it is for, though that is over.
    due = (due > q.ms or how and how.scheduled) and due or 0
    groups[#groups + 1] = { first, last, lead, name, due, flags, priority, how or false, edges }
    for i = first, last, 2 do
      local body = args[i + 1]
      local size = #body
      local name_len, key_len, high, low = byte(body, 1, 4)
      total = total + size
      if total > 1310700 then
        return redis.error_reply("TOO_LARGE " .. args[i])
      elseif size < 16 or name_len ~= #name or size < 16 + name_len + key_len + high * 256 + low then
        return redis.error_reply("BAD_RECORD " .. args[i])
      end
      if how and how.conflict then
        local _, key = unique_of(body, 20)
        if key == "" then
          return redis.error_reply("BAD_RECORD " .. args[i])
        end
        keys[#keys + 1] = key
      end
    end
    if flags % 2 == 1 or how and how.scheduled then
      for i = first, last, 2 do
        own[#own + 1] = args[i]
      end
    elseif derived then
      for i = first, last, 2 do
        made_up[#made_up + 1] = args[i]
      end
    end
    at = last + 1
  end
  local there = made_up[1] and redis.call("HMGET", P .. "rec", unpack(made_up)) or {}
  local met = false
  for i = 1, #there do
    if there[i] then
      tombs[made_up[i]], met = true, true
    end
  end
  if own[1] then
    local till = redis.call("ZMSCORE", P .. "tomb", unpack(own))
    for i = 1, #own do
      tombs[own[i]] = till[i] and tonumber(till[i]) > q.ms
    end
  end
  local held = keys[1] and holders(q, keys) or nil
  local left = bounded and q.max_depth and room(q)

  local jobs = { recs = {}, bigs = {}, ready = {}, delayed = {}, fresh = {}, alive = {}, added = {}, told = {} }
  jobs.edges, jobs.joins, jobs.attached = {}, {}, {}
  local recs, bigs, ready, delayed, fresh, alive = jobs.recs, jobs.bigs, jobs.ready, jobs.delayed, jobs.fresh, jobs.alive
  local verdicts, survivors, made, renewed = {}, {}, {}, {}
  local stamp = math.max(q.stamp + 1, q.now)
  local n, waiting = 0, 0
  for g = 1, #groups do
    local first, last, lead, name, due, flags, priority, how, edges = unpack(groups[g], 1, 9)
    local is_own, before = flags % 2 == 1, head_start(q, priority)
    local place, header, created = nil, nil, 0
    local lines = q.events and { name .. " 0 " }
    local looked_at = how or is_own or left or edges or met
    for i = first + 1, looked_at and first or last, 2 do
      looked_at = looked_at or #args[i] > 65516
    end
    if not looked_at then
      -- Nearly all jobs: nothing is to be decided of any of them, so they are written down without a look at each.
      header, created = pack(">c4I8I8", lead, stamp, due), (last - first + 1) / 2
      place = string.format("%.0f", due > 0 and due * 16 + priority or stamp + before)
      stamp = stamp + 1
      local pairs, k = due > 0 and delayed or ready, due > 0 and #delayed or waiting
      for i = first, last, 2 do
        local id = args[i]
        recs[n + 1], recs[n + 2] = id, header .. args[i + 1]
        pairs[k + 1], pairs[k + 2] = place, id
        n, k = n + 2, k + 2
      end
      if due > 0 then
        jobs.first_due = math.min(jobs.first_due or due, due)
      else
        waiting = k
      end
      for i = first, lines and last or first - 1, 2 do
        lines[#lines + 1] = args[i]
      end
      verdicts[#verdicts + 1] = string.rep("1", created)
    end
    for i = looked_at and first or last + 1, last, 2 do
      local id, body = args[i], args[i + 1]
      local verdict, survivor, job = "1", nil, nil
      if tombs[id] or how and how.scheduled and redis.call("HEXISTS", P .. "rec", id) == 1 then
        verdict = "0"
      elseif how then
        job = { id = id, body = body, name = name, flags = flags, priority = priority, due = due, stamp = stamp }
        job.cost, job.home = byte(lead, 3), how.blocks and "blocked" or due > q.ms and "delayed" or "waiting"
        job.expires = how.expires and math.max(q.ms, due) + how.expires
        if how.conflict then
          local _, key = unique_of(body, 20)
          local before_it = held[key]
          local pending = before_it and before_it.next
          job.key = key
          verdict, survivor = dispute(q, held, job, how, renewed)
          if left and left <= 0 and (verdict == "1" or survivor == id) then
            -- A job that is refused leaves no lock behind.
            held[key] = before_it
            if before_it then
              before_it.next = pending
            end
            verdict, survivor = "f", nil
          end
        end
      end
      if verdict == "1" and left and left <= 0 then
        verdict = "f"
      end
      if edges and verdict ~= "f" then
        local list = (verdict == "1" or survivor == id) and jobs.edges or jobs.attached
        list[#list + 1], list[#list + 2] = survivor or id, ordinals(edges, (i - first) / 2)
      end
      if (verdict == "1" or survivor == id) and how and how.blocks then
        jobs.joins[#jobs.joins + 1], jobs.joins[#jobs.joins + 2] = id, how.blocks
      end
      if verdict == "1" or survivor == id then
        if is_own then
          tombs[id] = true
          fresh[#fresh + 1] = id
          alive[#alive + 1] = "inf"
          alive[#alive + 1] = id
        end
        created = created + 1
        if lines then
          lines[#lines + 1] = id
        end
        if left then
          left = left - 1
        end
        if job then
          stamp = stamp + 1
          made[#made + 1] = job
        else
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
            local big_lead = pack("BBBB", 1, flags + 2, byte(lead, 3), priority)
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
            jobs.first_due = math.min(jobs.first_due or due, due)
          end
        end
      end
      verdicts[#verdicts + 1] = verdict
      survivors[#survivors + 1] = survivor
    end
    if created > 0 then
      jobs.added[name] = (jobs.added[name] or 0) + created
      if lines then
        jobs.told[#jobs.told + 1] = table.concat(lines, "\n")
      end
    end
  end
  if verdicts[1] and survivors[1] then
    verdicts[#verdicts + 1] = "\n"
    verdicts[#verdicts + 1] = table.concat(survivors, "\n")
  end
  jobs.verdict = table.concat(verdicts)
  jobs.stamp = stamp - 1
  if made[1] or renewed[1] or held then
    jobs.made, jobs.renewed, jobs.held = made, renewed, held
    jobs.more = compose(q, jobs)
  end
  return jobs
end
