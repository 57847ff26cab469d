--- Reads what is declared or set of a queue, when a transition first asks for it: paused, strict, max_stalled, max_depth (false: any),
-- offsets (ms), gated (whether there are limits to look at), resumes (ms when a pause ends by itself; 0: it does not), over (whether one has),
-- letters (whether what fails for good goes to `dead-letter`).
local function config(q, name)
  local function gates(since, till, gated, live, pauses)
    till = tonumber(till or 0) or 0
    q.paused = (since or "") ~= "" and (till == 0 or till > q.ms)
    q.resumes = q.paused and till or 0
    q.over = (since or "") ~= "" and not q.paused
    q.gated = gated == "1" or live == "1" or (tonumber(pauses or 0) or 0) > 0
  end
  local cfg = q.P .. "cfg"
  if name == "paused" or name == "resumes" or name == "over" or name == "gated" then
    gates(unpack(redis.call("HMGET", cfg, "paused", "paused_until", "gated", "live", "pauses"), 1, 5))
  elseif name == "letters" then
    q.letters = string.sub(q.P, -14) ~= "{dead-letter}:" and redis.call("HGET", cfg, "dead_letter") ~= "0"
  elseif name == "strict" or name == "max_stalled" or name == "max_depth" or name == "offsets" then
    local c = redis.call(
      "HMGET",
      cfg,
      "paused",
      "strict",
      "max_stalled",
      "o1",
      "o2",
      "o3",
      "o4",
      "o5",
      "max_depth",
      "paused_until",
      "gated",
      "live",
      "pauses"
    )
    gates(c[1], c[10], c[11], c[12], c[13])
    q.strict = c[2] == "1"
    q.max_stalled = tonumber(c[3]) or 3
    q.max_depth = tonumber(c[9]) or false
    q.offsets = {
      tonumber(c[4]) or 86400000,
      tonumber(c[5]) or 1800000,
      tonumber(c[6]) or 0,
      tonumber(c[7]) or -600000,
      tonumber(c[8]) or -7200000,
    }
  end
  return rawget(q, name)
end
