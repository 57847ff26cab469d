--- Finds who holds unique keys, by key: id, state ("ended": the job is over and its key held for a time), record, due (ms, when the
-- key is let go of at the latest), next (the pending job behind it: id, state, record). Keys that nobody holds are left out.
-- A holder is only believed if its job is there and has the key, so that no pointer outlives its job.
-- INCLUDE: homes unique_of has
local function holders(q, keys)
  local P, found = q.P, {}
  local ids = redis.call("HMGET", P .. "uniq", unpack(keys))
  local nexts = redis.call("HMGET", P .. "uniq.next", unpack(keys))
  local dues = redis.call("ZMSCORE", P .. "uniq.due", unpack(keys))
  local asked = {}
  for i = 1, #keys do
    asked[#asked + 1] = ids[i] or nil
    asked[#asked + 1] = nexts[i] or nil
  end
  if not asked[1] then
    return found
  end
  local states, recs, of = homes(P, asked), redis.call("HMGET", P .. "rec", unpack(asked)), {}
  for i = 1, #asked do
    of[asked[i]] = { id = asked[i], state = states[i], rec = recs[i] }
  end
  local live = { waiting = true, delayed = true, unroutable = true, active = true, blocked = true }
  for i = 1, #keys do
    local key, holder, behind, due = keys[i], of[ids[i]], of[nexts[i]], tonumber(dues[i] or nil)
    behind = behind and behind.state == "blocked" and behind.rec and behind or nil
    if holder then
      local mode, own
      if holder.rec and live[holder.state] then
        mode, own = unique_of(holder.rec)
      end
      if own == key and not (mode == "s" and holder.state == "active") then
        -- A key whose time is over is held on for the sake of who waits behind it.
        holder = (not due or due > q.ms or behind) and holder or nil
      else
        holder = due and due > q.ms and { id = ids[i], state = "ended" } or nil
      end
    end
    if holder then
      found[key] = { id = holder.id, state = holder.state, rec = holder.rec, due = due, next = behind }
    elseif behind then
      -- Whoever was before it is gone without a word.
      found[key] = { id = behind.id, state = "blocked", rec = behind.rec, orphan = true }
    end
  end
  return found
end
