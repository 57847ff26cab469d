--- Finds jobs by id: where each is and what is kept of it.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: for each: state ("" when nothing is known), record, what is told of the finished job, state entry, progress, fence (us), history; fewer than asked for when they are large (call again for the rest)
-- INCLUDE: locate
-- FLAGS: no-writes
local out, bytes, at = {}, 0, 1
while at <= #ARGV and bytes < 524288 do
  local found, size = locate(P, { unpack(ARGV, at, math.min(at + 7, #ARGV)) })
  for i = 1, #found do
    out[at + i - 1] = found[i]
  end
  bytes = bytes + size
  at = at + #found
end
return out
