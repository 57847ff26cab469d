--- Reads what is declared or set of a queue, when a transition first asks for it: paused, strict, max_stalled, max_depth (false: any),
-- offsets (ms), letters (whether what fails for good goes to `dead-letter`).
local function config(q, name)
  if name == "paused" then
    q.paused = (redis.call("HGET", q.P .. "cfg", "paused") or "") ~= ""
  elseif name == "letters" then
    q.letters = string.sub(q.P, -14) ~= "{dead-letter}:" and redis.call("HGET", q.P .. "cfg", "dead_letter") ~= "0"
  elseif name == "strict" or name == "max_stalled" or name == "max_depth" or name == "offsets" then
    local c = redis.call("HMGET", q.P .. "cfg", "paused", "strict", "max_stalled", "o1", "o2", "o3", "o4", "o5", "max_depth")
    q.paused = (c[1] or "") ~= ""
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
