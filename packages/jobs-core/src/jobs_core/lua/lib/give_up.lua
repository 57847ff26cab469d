--- Ends a blocked job because of one that it waits for: failed, where it cannot do without it, or cancelled as skipped,
-- where its condition did not come true. `told` is who that was: sign of its end, queue and id.
-- INCLUDE: record note_end finish series
local function give_up(q, id, state, told)
  local P = q.P
  local rec = redis.call("HGET", P .. "rec", id)
  if not rec or redis.call("ZREM", P .. "blocked", id) == 0 then
    return false
  end
  local flags, _, _, _, name = record(rec)
  local word = state == "failed" and "child" or "skipped"
  local info = string.format("%s %.0f %s", word, q.ms, told)
  note_end(q, state, { id }, { rec }, { redis.call("HGET", P .. "state", id) }, word)
  finish(q, state, { id }, { info }, { state == "failed" and -1 or -2, -1, -1 }, 0, flags == 0)
  redis.call("HINCRBY", P .. "stats", state .. ":" .. name, 1)
  if state == "failed" then
    series(q, 0, 0, 1, 0, 0, 0)
  end
  return true
end
