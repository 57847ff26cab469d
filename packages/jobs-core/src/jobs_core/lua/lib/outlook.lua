--- Says after a claim took `n` jobs and left `left` whether more could start at once, and (ms; nil: nothing is to come by itself)
-- when else the next could. What holds them back is noted, so that nobody asks in vain until then.
-- INCLUDE: bucket
local function outlook(q, g, n, left, next_due)
  local f, startable = q.flow, left > 0
  local function by(ms)
    ms = math.ceil(ms)
    next_due = math.min(next_due or ms, ms)
  end
  if f.active >= 0 then
    f.active = f.active + n
  end
  if left > 0 and f.limited > 0 then
    startable = false
    by(f.limited)
  end
  if left > 0 and g.max_active and f.active >= g.max_active then
    f.full, startable = 1, false
  end
  if left > 0 and g.rate then
    local _, wait = bucket(g.rate, f.tokens, q.now, 1)
    wait = g.short or wait
    if wait > 0 then
      f.held, startable = math.ceil((q.now + wait) / 1000), false
      by(f.held)
    end
  end
  if g.by_key then
    startable = startable and g.turns > 0
    local head = redis.call("ZRANGE", q.P .. "kparked", 0, 0, "WITHSCORES")
    if head[2] and head[2] ~= "inf" then
      by(head[2])
    end
    for i = 1, #g.plan.kparked, 2 do
      if g.plan.kparked[i] ~= "inf" then
        by(g.plan.kparked[i])
      end
    end
  end
  if g.resumes then
    by(g.resumes)
  end
  return startable, next_due
end
