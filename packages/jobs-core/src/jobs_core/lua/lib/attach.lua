--- Makes flows follow jobs that are there already: one that has ended is told of at once, one that nothing is known of as missing.
-- `edges` are those of each id, joined by `;`. An edge that a job has already stays one. Returns how many were looked at: the rest
-- would tell of more than 512 KiB.
-- INCLUDE: homes tell_ends
local function attach(q, ids, edges)
  local P, ends, done, bytes = q.P, {}, 0, 0
  local states = homes(P, ids)
  local live = { waiting = true, delayed = true, unroutable = true, blocked = true, active = true }
  while done < #ids and bytes < 524288 do
    done = done + 1
    local id, state = ids[done], states[done]
    local had = redis.call("HGET", P .. "follows", id) or ""
    bytes = bytes + #had + #edges[done]
    if live[state] or state == "failed" then
      local known = string.gsub(table.concat({ ";", had, ";" }), "(:%d+:%a)%d+", "%1")
      for edge in string.gmatch(edges[done], "[^;]+") do
        if not string.find(known, table.concat({ ";", edge, ";" }), 1, true) then
          had = had == "" and edge or table.concat({ had, ";", edge })
        end
      end
      redis.call("HSET", P .. "follows", id, had)
    end
    if not live[state] then
      local info = redis.call("HGET", P .. "result", id) or ""
      bytes = bytes + #info
      ends[#ends + 1] = { edges[done], id, state, info }
    end
  end
  tell_ends(q, ends)
  return done
end
