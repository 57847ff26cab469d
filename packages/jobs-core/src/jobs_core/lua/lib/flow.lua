--- What flow control remembers of a queue, from its text in `meta`: numbers by name. A queue without limits has none.
-- active: jobs that run (-1: not counted); full: 1 while jobs wait for a slot; held: ms until which no token is there;
-- tokens: when the bucket is full again (us since 2025); limited: ms until which a handler held the queue back;
-- index: 0 not by key, 1 being indexed, 2 indexed, 3 being unindexed; since: first fence counted by key; turn: of the ring;
-- fifo: 1 if keys are strictly first in, first out; rules: the limits by which keys were parked (-1: they changed).
local function flow(text)
  local f, at = {}, 1
  local names = { "active", "full", "held", "tokens", "limited", "index", "since", "turn", "fifo", "rules" }
  for number in string.gmatch(text or "-1 0 0 0 0 0 0 0 0 0", "%S+") do
    f[names[at]] = tonumber(number)
    at = at + 1
  end
  return f
end
