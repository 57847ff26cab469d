--- Writes the dead letters of jobs that failed for good into the outbox, with all that is kept of each. The jobs still have it.
-- One that failed because of a child has no letter: that child has, and never ran itself.
-- INCLUDE: parts post_all
local function bury(q, ids, infos)
  local P, at = q.P, string.format("%.0f", q.ms)
  local recs = redis.call("HMGET", P .. "rec", unpack(ids))
  local states = redis.call("HMGET", P .. "state", unpack(ids))
  local pasts = redis.call("HMGET", P .. "history", unpack(ids))
  local counts, contents = {}, {}
  for i = 1, #ids do
    if recs[i] and string.sub(infos[i], 1, 6) ~= "child " then
      local large = math.floor(string.byte(recs[i], 2) / 2) % 2 == 1 and redis.call("GET", P .. "big:" .. ids[i])
      counts[#counts + 1] = 1
      contents[#counts] = parts({ ids[i], at, recs[i], large or "", states[i] or "", pasts[i] or "", infos[i] })
    end
  end
  post_all(q, "dead-letter", "dead", counts, contents)
end
