--- Puts back jobs whose delivery did not end them: into `delayed` for a retry after a wait, else into `waiting` where they were.
-- A retry spends an attempt and is told in `history` (64 KiB); a release is free. The caller takes them out of their home.
-- INCLUDE: record history ready_at score to_ready rearm
local function put_back(q, verb, ids, delays, infos)
  local P = q.P
  local recs = redis.call("HMGET", P .. "rec", unpack(ids))
  local states = redis.call("HMGET", P .. "state", unpack(ids))
  local ready, late, spent, first_due = {}, {}, {}, nil
  for i = 1, #ids do
    local id = ids[i]
    if recs[i] then
      local _, priority, stamp, due_ms = record(recs[i])
      local attempts, crashes, releases, cancel, again = history(states[i])
      local delay = tonumber(delays[i])
      if verb == "retry" then
        attempts = attempts + 1
        again = q.ms + delay
        local past = redis.call("HGET", P .. "history", id) or ""
        if #past + #infos[i] <= 65536 then
          redis.call("HSET", P .. "history", id, past .. infos[i])
        end
      else
        releases = releases + 1
      end
      spent[#spent + 1] = id
      spent[#spent + 1] = struct.pack(">I4I4I4BI8", attempts, crashes, releases, cancel, again)
      if verb == "retry" and delay > 0 then
        late[#late + 1] = again * 16 + priority
        late[#late + 1] = id
        first_due = math.min(first_due or again, again)
      else
        ready[#ready + 1] = score(q, ready_at(stamp, due_ms, again), priority)
        ready[#ready + 1] = id
      end
    end
  end
  to_ready(q, ready)
  if late[1] then
    redis.call("ZADD", P .. "delayed", unpack(late))
    rearm(q, first_due)
  end
  if spent[1] then
    redis.call("HSET", P .. "state", unpack(spent))
  end
end
