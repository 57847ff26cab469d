--- Writes the dead letters of jobs that failed for good into the outbox, with all that is kept of each. The jobs still have it.
-- One that failed because of a child has no letter: that child has, and never ran itself. The letter of one that flows follow holds
-- its edges (as long as they are 64 KiB, without the jobs that follow a failure): replayed, it mends what its failure broke.
-- INCLUDE: parts post_all
local function bury(q, ids, infos)
  local P, at = q.P, string.format("%.0f", q.ms)
  local recs = redis.call("HMGET", P .. "rec", unpack(ids))
  local states = redis.call("HMGET", P .. "state", unpack(ids))
  local pasts = redis.call("HMGET", P .. "history", unpack(ids))
  local edges = redis.call("EXISTS", P .. "follows") == 1 and redis.call("HMGET", P .. "follows", unpack(ids)) or {}
  local counts, contents = {}, {}
  for i = 1, #ids do
    if recs[i] and string.sub(infos[i], 1, 6) ~= "child " then
      local large = math.floor(string.byte(recs[i], 2) / 2) % 2 == 1 and redis.call("GET", P .. "big:" .. ids[i])
      local letter, flows = { ids[i], at, recs[i], large or "", states[i] or "", pasts[i] or "", infos[i] }, {}
      for edge in string.gmatch(edges[i] or "", "[^;]+") do
        flows[#flows + 1] = not string.find(edge, ":!:", 1, true) and edge or nil
      end
      local text = table.concat(flows, ";")
      letter[8] = text ~= "" and #text <= 65536 and text or nil
      counts[#counts + 1] = 1
      contents[#counts] = parts(letter)
    end
  end
  post_all(q, "dead-letter", "dead", counts, contents)
end
