--- Wakes idle owners, the most recently idle first, until their free slots cover `need` jobs.
-- At most 16 are popped, and after 8 without a subscriber (dead ones) it stops: the glance of the others is the backstop.
-- No transition fails for a wake-up: where the ACL forbids to publish, every owner counts as dead.
local function wake(q, need)
  if need <= 0 or q.paused then
    return
  end
  local popped, dead = 0, 0
  while need > 0 and popped < 16 and dead < 8 do
    local top = redis.pcall("ZPOPMAX", q.P .. "idle")
    if not top[1] then
      return
    end
    popped = popped + 1
    local heard = redis.pcall("SPUBLISH", q.P .. "wake:" .. top[1], "wake")
    if type(heard) == "number" and heard > 0 then
      need = need - top[2] % 1024
    else
      dead = dead + 1
    end
  end
end
