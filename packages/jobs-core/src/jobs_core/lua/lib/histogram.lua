--- Adds to the histograms of a job name (BITFIELD operations as the worker made them; the first one counts attempts).
-- At most 100 names have their own, the rest share those of `other`. No transition fails for it.
local function histogram(q, name, ops)
  if string.find(q.off, "metrics", 1, true) then
    return
  end
  local hist = q.P .. "hist:"
  local counts = redis.pcall("BITFIELD", hist .. name, unpack(ops))
  if counts.err or counts[1] ~= tonumber(ops[4]) then
    return
  end
  -- The first attempts of this name.
  local names = q.P .. "hist.names"
  redis.pcall("ZADD", names, q.ms, name)
  local known = redis.pcall("ZCARD", names)
  if name ~= "other" and type(known) == "number" and known > 100 then
    redis.pcall("ZREM", names, name)
    redis.pcall("UNLINK", hist .. name)
    redis.pcall("ZADD", names, q.ms, "other")
    redis.pcall("BITFIELD", hist .. "other", unpack(ops))
  end
end
