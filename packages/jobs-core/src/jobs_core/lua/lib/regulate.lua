--- Looks at the limits before a claim: the index by key takes its next step, and what may start is said by the result.
-- `room` is how many jobs, `allow(rec, name)` whether this one: true, false (its name is paused) or nil (no token is there),
-- `short` then how long (us) that is so, `resumes` when the next paused name comes back (ms), `more` whether to claim again.
-- INCLUDE: flow gates reindex review bucket lasts
local function regulate(q)
  q.flow = q.flow or flow()
  local f, g = q.flow, gates(q)
  g.more = reindex(q, g)
  g.by_key = f.index % 3 ~= 0
  if g.by_key then
    g.more = review(q, g) or g.more
  end
  g.room, f.full, f.held = math.huge, 0, 0
  if f.limited <= q.ms then
    f.limited = 0
  end
  if g.max_active then
    if f.active < 0 then
      f.active = 0
      for _, owner in ipairs(redis.call("ZRANGE", q.P .. "owners", 0, -1)) do
        f.active = f.active + redis.call("ZCARD", q.P .. "active:" .. owner)
      end
    end
    g.room = math.max(g.max_active - f.active, 0)
  end
  if f.limited > 0 then
    g.room = 0
  end
  if g.rate then
    -- A bucket that is further from full than an empty one (of another rate, or of a clock that jumped back) fills from now on.
    local from = bucket(g.rate, f.tokens, q.now, 0)
    f.tokens = math.min(f.tokens, from)
  end
  local paused = {}
  function g.allow(rec, name)
    if g.pauses > 0 then
      if paused[name] == nil then
        local key = string.match(name, "^(.*)@") or name
        local till = redis.call("HGET", q.P .. "cfg", "pause:job:" .. key)
        paused[name] = lasts(q, till)
        till = tonumber(till or 0)
        if till > q.ms then
          g.resumes = math.min(g.resumes or till, till)
        end
      end
      if paused[name] then
        return false
      end
    end
    if g.rate then
      local after, wait = bucket(g.rate, f.tokens, q.now, math.max(string.byte(rec, 3), 1))
      if wait > 0 then
        g.short = wait
        return nil
      end
      f.tokens = after
    end
    return true
  end
  return g
end
