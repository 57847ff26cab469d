--- What the queue's `retention` says of jobs in a final state: {count, age_ms, bytes}, below zero: no limit; and whether it is declared.
local function keeps(q, state)
  local limits = redis.call("HMGET", q.P .. "cfg", "keep:" .. state .. ":count", "keep:" .. state .. ":age", "keep:" .. state .. ":bytes")
  local keep = { tonumber(limits[1]), tonumber(limits[2]), tonumber(limits[3]) }
  if keep[1] or keep[2] or keep[3] then
    return { keep[1] or -1, keep[2] or -1, keep[3] or -1 }, true
  elseif state == "failed" then
    return { -1, -1, -1 }, false
  end
  return { 1000, 604800000, -1 }, false
end
