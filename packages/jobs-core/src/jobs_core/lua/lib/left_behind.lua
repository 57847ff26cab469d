--- Removes what is left of a job's flows, or of a flow, that is gone: who follows it hears that it was removed. Returns how much that was.
-- INCLUDE: follow forget_flows
local function left_behind(q, id, rec)
  local P, n = q.P, 0
  if not rec and redis.call("HEXISTS", P .. "follows", id) == 1 then
    follow(q, { id }, "removed", {})
    n = n + redis.call("HDEL", P .. "follows", id)
  end
  local function known(names)
    for _, name in ipairs(names) do
      if redis.call("ZSCORE", P .. name, id) then
        return true
      end
    end
    return false
  end
  if not rec then
    n = n + redis.call("ZREM", P .. "joins", id)
  end
  local families = { join = { "joins", "early", "trash.joins", "trash.early" } }
  families.flow = { "flows", "flows.ended", "trash.flows", "trash.flows.ended" }
  for family, names in pairs(families) do
    for _, part in ipairs({ "", ".done", ".results", ".nodes", ".staged", ".chunks" }) do
      if n == 0 and not known(names) then
        n = n + redis.call("EXISTS", table.concat({ P, family, part, ":", id }))
      end
    end
    if n > 0 and not known(names) then
      forget_flows(q, { id }, family == "join")
    end
  end
  return n
end
