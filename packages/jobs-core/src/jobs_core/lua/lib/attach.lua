--- Makes flows follow jobs that are there already: one that has ended is told of at once, one that nothing is known of as missing.
-- `edges` are those of each id, joined by `;`. An edge that a job has already stays one.
-- INCLUDE: homes tell_ends
local function attach(q, ids, edges)
  local P, ends = q.P, {}
  local states = homes(P, ids)
  local live = { waiting = true, delayed = true, unroutable = true, blocked = true, active = true }
  for i = 1, #ids do
    local id, state = ids[i], states[i]
    local had = redis.call("HGET", P .. "follows", id) or ""
    local info = not live[state] and redis.call("HGET", P .. "result", id) or ""
    for edge in string.gmatch(edges[i], "[^;]+") do
      if live[state] or state == "failed" then
        if not string.find(table.concat({ ";", had, ";" }), table.concat({ ";", edge, ";" }), 1, true) then
          had = had == "" and edge or table.concat({ had, ";", edge })
        end
      end
      if not live[state] then
        ends[#ends + 1] = { edge, id, state, info }
      end
    end
    if had ~= "" then
      redis.call("HSET", P .. "follows", id, had)
    end
  end
  tell_ends(q, ends)
end
