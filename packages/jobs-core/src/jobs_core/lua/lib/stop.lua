--- Cancels jobs wherever they are: one that has not started ends at once, one that runs is marked.
-- The mark names the delivery, so it never concerns a later one, nor a later job of the same id.
-- Returns for each: cancelled, requested (it runs), already_finished or not_found; and the messages to its worker that
-- the caller is to publish when all is written.
-- INCLUDE: history homes depart call_off
local function stop(q, ids)
  local P = q.P
  local states, fences, owners = homes(P, ids)
  local recs = redis.call("HMGET", P .. "rec", unpack(ids))
  local entries = redis.call("HMGET", P .. "state", unpack(ids))
  local verdicts, seen, homeless = {}, {}, { {}, {}, {} }
  local marks, asked, told = {}, {}, {}
  local waits = { waiting = true, delayed = true, unroutable = true, blocked = true }
  for i = 1, #ids do
    local id, state, rec = ids[i], states[i], recs[i]
    if seen[id] then
      verdicts[i] = verdicts[seen[id]]
    elseif state == "active" and rec then
      local attempts, crashes, releases, _, again = history(entries[i])
      asked[#asked + 1] = id
      asked[#asked + 1] = struct.pack(">I4I4I4BI8", attempts, crashes, releases, 1, again)
      marks[#marks + 1] = id
      marks[#marks + 1] = fences[i]
      told[#told + 1] = { P .. "wake:" .. owners[i], table.concat({ "cancel", id, fences[i] }, " ") }
      verdicts[i] = "requested"
    elseif waits[state] and rec then
      table.insert(homeless[1], id)
      table.insert(homeless[2], rec)
      table.insert(homeless[3], state)
      verdicts[i] = "cancelled"
    else
      -- An id that the caller gave is known for a day after its job.
      local ended = state ~= "" or redis.call("ZSCORE", P .. "tomb", id)
      verdicts[i] = ended and "already_finished" or "not_found"
    end
    seen[id] = seen[id] or i
  end
  depart(q, homeless[1], homeless[3], homeless[2])
  -- All of them end at once: of two with one unique key the one behind must not come after the other.
  call_off(q, homeless[1], homeless[2])
  if marks[1] then
    redis.call("HSET", P .. "state", unpack(asked))
    redis.call("HSET", P .. "cancels", unpack(marks))
  end
  return verdicts, told
end
