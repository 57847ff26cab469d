--- Replays jobs that failed for good, each life of them once, also one that is not kept any more: it is made anew under its old id.
-- With another priority, or another record (an edited payload), where one is given. Their dead letters are cleared.
-- PREFIX: P
-- REST: of each (at most 128): id, ms of its end (0: whichever), priority (0: as it was), 1 to take the given record, version with flags and priority (4 bytes), name@version, record from byte 21 on ("": never make it anew), history, edges
-- RETURNS: for each: 1 replayed, 0 not known, "replayed" (before), or the state it is in instead; fewer than asked for when they are large (call again for the rest)
-- ERRORS: SCHEMA, WRONGTYPE, TOO_LARGE, TOO_MANY, BAD_RECORD
-- INCLUDE: open save unsound record homes revive retake post parts admit enter tell
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
-- What is given can be refused, so all of it is looked at before anything is written.
local function groups(at)
  local options = ARGV[at + 8] ~= "" and "edges=" .. ARGV[at + 8] or ""
  return { "1", ARGV[at + 4], ARGV[at + 5], "0", "0", options, ARGV[at], ARGV[at + 6] }
end
for at = 1, #ARGV, 9 do
  if ARGV[at + 6] ~= "" then
    local jobs = admit(q, groups(at), 1, 8)
    if jobs.err then
      return jobs
    end
  end
end
local verdicts, cleared, seen, bytes = {}, {}, {}, 0
for at = 1, #ARGV, 9 do
  if bytes >= 524288 then
    break
  end
  local id, life, priority = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local edited, body, past = ARGV[at + 3] == "1", ARGV[at + 6], ARGV[at + 7]
  local state = homes(P, { id })[1]
  local rec, ended = redis.call("HGET", P .. "rec", id), tonumber(redis.call("ZSCORE", P .. "failed", id))
  bytes = bytes + (rec and #rec or 0)
  local mark = table.concat({ "\1", id, " ", string.format("%.0f", life > 0 and life or ended or 0) })
  local verdict = state == "" and "0" or state
  if seen[id] or redis.call("ZSCORE", P .. "tomb", mark) then
    verdict = "replayed"
  elseif state == "failed" and rec and (life == 0 or life == ended) then
    local flags, kept, stamp, due = record(rec)
    priority = priority > 0 and priority or kept
    local old, apart = rec, nil
    if edited then
      local head = 16 + string.byte(body, 1) + string.byte(body, 2) + string.byte(body, 3) * 256 + string.byte(body, 4)
      apart = #body > 65516 and string.sub(body, head + 1)
      flags = flags - flags % 4 + flags % 2 + (apart and 2 or 0)
      local fixed = struct.pack(">BBBBI8I8", 1, flags, string.byte(rec, 3), priority, stamp, due)
      rec = table.concat({ fixed, apart and string.sub(body, 1, head) or body })
    end
    cleared[#cleared + 1] = "clear"
    cleared[#cleared + 1] = revive(q, id, ended, priority, rec)
    retake(q, id, rec)
    tell(q, "replayed", { id }, { old }, {}, true)
    if apart then
      redis.call("SET", P .. "big:" .. id, apart)
    elseif edited then
      redis.call("UNLINK", P .. "big:" .. id)
    end
    if edited or priority ~= kept then
      local first = struct.pack("BBBB", 1, flags, string.byte(rec, 3), priority)
      redis.call("HSET", P .. "rec", id, table.concat({ first, string.sub(rec, 5) }))
    end
    verdict = "1"
  elseif (state == "" or state == "finished") and life > 0 and body ~= "" then
    -- Its id is remembered where the caller gave it; it is the same job that comes back.
    redis.call("ZREM", P .. "tomb", id)
    local jobs = admit(q, groups(at), 1, 8)
    redis.call("HDEL", P .. "result", id)
    redis.call("ZREM", P .. "result.due", id)
    enter(q, jobs)
    retake(q, id, jobs.recs[2])
    if past ~= "" then
      redis.call("HSET", P .. "history", id, past)
    end
    redis.call("HINCRBY", P .. "stats", "replayed", 1)
    redis.call("ZADD", P .. "tomb", q.ms + 86400000, mark)
    cleared[#cleared + 1] = "clear"
    cleared[#cleared + 1] = parts({ id, string.format("%.0f", life) })
    verdict = "1"
  end
  seen[id] = seen[id] or verdict == "1"
  verdicts[#verdicts + 1] = verdict
end
if cleared[1] and q.letters then
  post(q, "dead-letter", cleared)
end
save(q)
return verdicts
