--- Puts back jobs whose delivery did not end them: into `delayed` after a wait, else into `waiting` where they were.
-- A retry spends an attempt and is told in `history` (64 KiB); releases and snoozes are free, and so is a limit that a handler met: it holds
-- back the job, its key or the queue (`infos`) for a while. In a queue whose keys are strictly first in, first out the job of a
-- key keeps its place while it waits, and the key is parked. A job that was to stop ends as cancelled.
-- Returns the ids of those. The caller takes them out of their home.
-- INCLUDE: record history record_attempt ready_at score to_ready rearm key_of park_key flow call_off
local function put_back(q, verb, ids, delays, infos)
  local P = q.P
  local recs = redis.call("HMGET", P .. "rec", unpack(ids))
  local states = redis.call("HMGET", P .. "state", unpack(ids))
  local ready, late, spent, first_due = {}, {}, {}, nil
  local ready_recs, parked, ended = {}, {}, { {}, {} }
  local keyed, fifo = q.flow and q.flow.index % 3 ~= 0, q.flow and q.flow.fifo == 1
  for i = 1, #ids do
    local id = ids[i]
    if recs[i] then
      local _, priority, stamp, due_ms = record(recs[i])
      local attempts, crashes, releases, cancel, again = history(states[i])
      local delay, key = tonumber(delays[i]), keyed and key_of(recs[i]) or ""
      local waits, scope = (verb == "retry" or verb == "snooze") and delay > 0, verb == "limit" and infos[i]
      if crashes == 2147483648 and verb ~= "release" then
        -- It ran, and its worker lives.
        crashes = 0
      end
      if verb == "retry" then
        attempts = attempts + 1
        again = q.ms + delay
        record_attempt(P, id, infos[i])
      else
        releases = releases + 1
        again = verb == "snooze" and q.ms + delay or again
        if scope == "queue" then
          q.flow = q.flow or flow()
          q.flow.limited = math.max(q.flow.limited, q.ms + delay)
        elseif scope == "key" and key ~= "" then
          parked[key] = math.max(parked[key] or 0, q.ms + delay)
        elseif scope then
          waits = delay > 0
          again = q.ms + delay
        end
        if scope then
          first_due = math.min(first_due or q.ms + delay, q.ms + delay)
        end
      end
      if waits and fifo and key ~= "" and cancel == 0 then
        waits = false
        parked[key] = math.max(parked[key] or 0, q.ms + delay)
        first_due = math.min(first_due or q.ms + delay, q.ms + delay)
      end
      spent[#spent + 1] = id
      spent[#spent + 1] = struct.pack(">I4I4I4BI8", attempts, crashes, releases, cancel, again)
      if cancel ~= 0 then
        table.insert(ended[1], id)
        table.insert(ended[2], recs[i])
      elseif waits then
        late[#late + 1] = again * 16 + priority
        late[#late + 1] = id
        first_due = math.min(first_due or again, again)
      else
        ready[#ready + 1] = score(q, ready_at(stamp, due_ms, again), priority)
        ready[#ready + 1] = id
        ready_recs[#ready_recs + 1] = recs[i]
      end
    end
  end
  to_ready(q, ready, ready_recs)
  if verb == "limit" then
    -- What is held back is no work for anybody now.
    q.need = q.need - #ready_recs
  end
  for key, till in pairs(parked) do
    park_key(q, key, till)
  end
  if late[1] then
    redis.call("ZADD", P .. "delayed", unpack(late))
  end
  if first_due then
    rearm(q, first_due)
  end
  if spent[1] then
    redis.call("HSET", P .. "state", unpack(spent))
  end
  call_off(q, ended[1], ended[2])
  return ended[1]
end
