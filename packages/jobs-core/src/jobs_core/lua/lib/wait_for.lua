--- Blocks jobs that run until all have ended that they wait for: `counts` is how many these are, the ones of earlier waits among them.
-- That is no attempt. `owned` is what calls off the jobs that they added, should they be cancelled. A job that was to stop ends as cancelled.
-- Returns the ids of those. The caller takes them out of their home.
-- INCLUDE: history call_off join flow_keys post_owned
local function wait_for(q, ids, counts, owned)
  local P, ended = q.P, { {}, {} }
  local recs, states = redis.call("HMGET", P .. "rec", unpack(ids)), redis.call("HMGET", P .. "state", unpack(ids))
  for i = 1, #ids do
    local id = ids[i]
    local _, _, _, cancel = history(states[i])
    if recs[i] and owned[i] ~= "" then
      redis.call("RPUSH", flow_keys(P, id, true).owned, owned[i])
    end
    if recs[i] and cancel ~= 0 then
      table.insert(ended[1], id)
      table.insert(ended[2], recs[i])
    elseif recs[i] then
      redis.call("ZADD", P .. "blocked", string.format("%.0f", q.ms), id)
      join(q, id, tonumber(counts[i]))
    end
  end
  call_off(q, ended[1], ended[2])
  return ended[1]
end
