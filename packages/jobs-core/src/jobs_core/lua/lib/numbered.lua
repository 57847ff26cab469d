--- Pairs for ZADD: consecutive scores from `first` on, each with its member. Large numbers take the server long to write, so these are
-- written as two halves.
local function numbered(first, members)
  local pairs, head, low = {}, math.floor(first / 1000000), first % 1000000
  local high = string.format("%.0f", head)
  for i = 1, #members do
    if low >= 1000000 then
      low = low - 1000000
      head = head + 1
      high = string.format("%.0f", head)
    end
    pairs[2 * i - 1], pairs[2 * i] = string.format("%s%06d", high, low), members[i]
    low = low + 1
  end
  return pairs
end
