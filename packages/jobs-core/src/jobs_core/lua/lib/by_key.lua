--- Sorts jobs by their keys: returns the keys, and of each its ids, or {score, id, …} where scores are given.
-- Where keys are strictly first in, first out, the score is when the job came (or was due), whatever its priority and retries.
-- INCLUDE: key_of
local function by_key(q, ids, recs, scores)
  recs = recs or redis.call("HMGET", q.P .. "rec", unpack(ids))
  local keys, groups, at = {}, {}, {}
  for i = 1, #ids do
    if recs[i] then
      local key = key_of(recs[i])
      local k = at[key]
      if not k then
        k = #keys + 1
        at[key], keys[k], groups[k] = k, key, {}
      end
      local group = groups[k]
      if scores then
        local place = scores[i]
        if q.flow.fifo == 1 then
          local stamp, due = struct.unpack(">I8I8", recs[i], 5)
          place = due > 0 and due * 1000 or stamp
        end
        group[#group + 1] = place
      end
      group[#group + 1] = ids[i]
    end
  end
  return keys, groups
end
