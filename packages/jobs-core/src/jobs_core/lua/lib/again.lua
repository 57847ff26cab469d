--- Lets a job of a flow run again, in the flow's generation `gen`: one that failed is retried; one that was skipped, cancelled or failed for
-- another waits again for those named in `opens`, and runs where it waits for none; one that goes on just goes on. Its edges of the flow carry the
-- generation from now on. Any other tells those who follow it in the flow (`edges`) how it ended: it will not run again. Returns the effect
-- that clears its dead letter, if it may have one.
-- INCLUDE: homes record revive retake tell tell_ends reopen unblock weight
local function again(q, id, gen, edges, opens)
  local P = q.P
  local had, named, followed = redis.call("HGET", P .. "follows", id) or edges, {}, {}
  for edge in string.gmatch(edges, "[^;]+") do
    named[string.match(edge, "^(.*:%d+):%a%d*$") or edge] = true
  end
  for edge in string.gmatch(had, "[^;]+") do
    local place, mode, known = string.match(edge, "^(.*:%d+):(%a)(%d*)$")
    if place and named[place] then
      if (tonumber(known) or 0) > tonumber(gen) then
        -- Sent again by a source whose target had lost it, and overtaken by a later retry.
        return nil
      end
      edge = table.concat({ place, ":", mode, gen })
    end
    followed[#followed + 1] = edge
  end
  local state, rec = homes(P, { id })[1], redis.call("HGET", P .. "rec", id)
  local info = redis.call("HGET", P .. "result", id) or ""
  local stamp = table.concat({ "%1", gen })
  local live = { waiting = true, delayed = true, active = true, unroutable = true, blocked = true }
  local waited = state == "failed" and string.match(info, "^child ") or state == "cancelled"
  if not rec or not (live[state] or waited or state == "failed") then
    tell_ends(q, { { (string.gsub(edges, "(:%d+:%a)%d*", stamp)), id, state, info } })
    return nil
  end
  redis.call("HSET", P .. "follows", id, table.concat(followed, ";"))
  if state == "failed" and not waited then
    local _, priority = record(rec)
    local cleared = revive(q, id, tonumber(redis.call("ZSCORE", P .. "failed", id)), priority, rec)
    retake(q, id, rec)
    tell(q, "replayed", { id }, { rec }, {}, true)
    return cleared
  elseif waited then
    local bytes = weight(P, { id })[1]
    redis.call("ZADD", P .. "blocked", string.format("%.0f", q.ms), id)
    redis.call("HSET", P .. "state", id, struct.pack(">I4I4I4BI8", 0, 0, 0, 0, 0))
    redis.call("HDEL", P .. "result", id)
    redis.call("ZREM", P .. "result.due", id)
    redis.call("ZREM", P .. state, id)
    redis.call("HINCRBY", P .. "meta", "bytes:" .. state, 0 - bytes)
    redis.call("HINCRBY", P .. "stats", "replayed", 1)
    retake(q, id, rec)
    tell(q, "replayed", { id }, { rec }, {}, true)
  end
  if waited and not redis.call("ZSCORE", P .. "joins", id) then
    -- It waited for nobody when it was cancelled.
    unblock(q, id)
  elseif state == "blocked" or waited then
    reopen(q, id, tonumber(gen), opens)
  end
  return nil
end
