--- Gives the jobs named from argument `at` on that wait or are delayed to `change` (id, record, state, entry of `state`), eight at a time,
-- and calls `step` behind each eight; behind 256 KiB of records, which are read and mostly written, there are no further eight.
-- Returns for each: 1, 0 not known, or the state it is in instead; then the ids that were changed, the heads of their records, and their entries.
-- INCLUDE: homes
local function unstarted(q, at, change, step)
  local P, verdicts, bytes = q.P, {}, 0
  local changed, heads, known = {}, {}, {}
  while ARGV[at] and bytes < 262144 do
    local ids, seen = { unpack(ARGV, at, math.min(at + 7, #ARGV)) }, {}
    at = at + #ids
    local states = homes(P, ids)
    local recs, entries = redis.call("HMGET", P .. "rec", unpack(ids)), redis.call("HMGET", P .. "state", unpack(ids))
    for i = 1, #ids do
      local id, rec, state = ids[i], recs[i], states[i]
      verdicts[#verdicts + 1] = (seen[id] and "1") or (state == "" and "0") or state
      if rec and not seen[id] and (state == "waiting" or state == "delayed") then
        seen[id] = true
        verdicts[#verdicts] = "1"
        bytes = bytes + #rec
        local n = #changed + 1
        changed[n], heads[n], known[n] = id, string.sub(rec, 1, 292), entries[i]
        change(id, rec, state, entries[i])
      end
    end
    step()
  end
  return verdicts, changed, heads, known
end
