--- Adds to what `enter` writes the jobs that were decided one by one: new ones and those written anew.
-- INCLUDE: has score ready_at record
local function compose(q, jobs)
  local P, pack, sub, byte = q.P, struct.pack, string.sub, string.byte
  local recs, out = jobs.recs, { parked = {}, moved = {} }
  for _, name in ipairs({ "leaving", "records", "lifted", "unroutable", "due", "blocked", "expiring", "lasting", "small", "anew" }) do
    out[name] = {}
  end
  for _, name in ipairs({ "uniq", "until_ms", "timeless", "behind", "heirs" }) do
    out[name] = {}
  end
  local function write(job)
    local id, was = job.id, job.old and byte(job.old, 2) or 0
    local flags, body = job.flags - (has(job.flags, 2) and 2 or 0), job.body
    if has(flags, 4) ~= (job.expires ~= nil) then
      flags = flags + (job.expires and 4 or -4)
    end
    local large = job.apart
    if not large and #body > 65516 then
      local head = 16 + byte(body, 1) + byte(body, 2) + byte(body, 3) * 256 + byte(body, 4)
      jobs.bigs[#jobs.bigs + 1] = P .. "big:" .. id
      jobs.bigs[#jobs.bigs + 1] = sub(body, head + 1)
      body, large = sub(body, 1, head), true
    end
    body = table.concat({ pack(">c4I8", body, job.expires or 0), sub(body, 13) })
    if has(was, 2) and not large then
      out.small[#out.small + 1] = P .. "big:" .. id
    end
    if job.expires then
      out.expiring[#out.expiring + 1] = string.format("%.0f", job.expires)
      out.expiring[#out.expiring + 1] = job.id
    elseif has(was, 4) then
      out.lasting[#out.lasting + 1] = job.id
    end
    local lead = pack(">BBBBI8I8", 1, flags + (large and 2 or 0), job.cost, job.priority, job.stamp, job.due)
    recs[#recs + 1] = id
    recs[#recs + 1] = lead .. body
  end
  local function place(job)
    local pairs = job.due > q.ms and jobs.delayed or jobs.ready
    local at = job.due > q.ms and job.due * 16 + job.priority or score(q, ready_at(job.stamp, job.due, 0), job.priority)
    pairs[#pairs + 1] = string.format("%.0f", job.at or at)
    pairs[#pairs + 1] = job.id
    if job.due > q.ms then
      jobs.first_due = math.min(jobs.first_due or job.due, job.due)
    end
  end
  for i = 1, #jobs.made do
    local job = jobs.made[i]
    write(job)
    if job.home == "blocked" then
      out.blocked[#out.blocked + 1] = string.format("%.0f", q.ms)
      out.blocked[#out.blocked + 1] = job.id
    else
      place(job)
    end
  end
  for i = 1, #jobs.renewed do
    local job = jobs.renewed[i]
    if job.now then
      job.due = q.ms
    end
    write(job)
    if job.fresh then
      out.anew[#out.anew + 1] = job.id
      out.moved[job.id] = job.moved
    end
    local home = job.home
    if home == "waiting" then
      if job.moved then
        out.leaving[#out.leaving + 1] = job.id
        out.records[#out.records + 1] = job.old
      else
        out.lifted[#out.lifted + 1] = job.id
      end
      job.at = not job.moved and redis.call("ZSCORE", P .. "waiting", job.id) or nil
      place(job)
    elseif home == "unroutable" then
      local name = select(5, record(job.old))
      out.unroutable[#out.unroutable + 1] = job.id
      out.parked[name] = (out.parked[name] or 0) + 1
      place(job)
    elseif home == "delayed" and job.moved then
      if job.due <= q.ms then
        out.due[#out.due + 1] = job.id
      end
      place(job)
    end
  end
  for key, holder in pairs(jobs.held or {}) do
    if holder.taken then
      out.uniq[#out.uniq + 1] = key
      out.uniq[#out.uniq + 1] = holder.id
    end
    if holder.due and (holder.taken or holder.extended) then
      out.until_ms[#out.until_ms + 1] = string.format("%.0f", holder.due)
      out.until_ms[#out.until_ms + 1] = key
    elseif holder.taken then
      out.timeless[#out.timeless + 1] = key
    end
    if holder.next and holder.next.taken then
      out.behind[#out.behind + 1] = key
      out.behind[#out.behind + 1] = holder.next.id
    end
    if holder.orphan then
      out.heirs[#out.heirs + 1] = key
      out.heirs[#out.heirs + 1] = holder.id
    end
  end
  return out
end
