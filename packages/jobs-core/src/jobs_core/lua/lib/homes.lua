--- Finds where jobs are. Returns their states ("" when nothing is known, "finished" when only what is told of it is left),
-- and of the active ones fences (us) and owners.
local function homes(P, ids)
  local states, fences, holders, missing = {}, {}, {}, {}
  for i = 1, #ids do
    states[i], fences[i], missing[i] = "", "", i
  end
  local function search(key, state, owner)
    local asked, rest = {}, {}
    for j = 1, #missing do
      asked[j] = ids[missing[j]]
    end
    local scores = asked[1] and redis.call("ZMSCORE", key, unpack(asked)) or {}
    for j = 1, #missing do
      if scores[j] then
        states[missing[j]] = state
        fences[missing[j]] = owner and scores[j] or ""
        holders[missing[j]] = owner
      else
        rest[#rest + 1] = missing[j]
      end
    end
    missing = rest
  end
  for _, home in ipairs({ "waiting", "delayed", "completed", "failed", "unroutable", "blocked", "cancelled", "expired" }) do
    search(P .. home, home)
  end
  local owners = missing[1] and redis.call("ZRANGE", P .. "owners", 0, -1) or {}
  for i = 1, #owners do
    search(P .. "active:" .. owners[i], "active", owners[i])
  end
  for _, i in ipairs(missing) do
    states[i] = redis.call("HEXISTS", P .. "result", ids[i]) == 1 and "finished" or ""
  end
  return states, fences, holders
end
