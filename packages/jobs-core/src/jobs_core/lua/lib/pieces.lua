--- Takes apart what `parts` packed: the pieces, each behind its length (4 bytes, big-endian).
local function pieces(packed)
  local found, at = {}, 1
  while at < #packed do
    local size = struct.unpack(">I4", packed, at)
    found[#found + 1] = string.sub(packed, at + 4, at + 3 + size)
    at = at + 4 + size
  end
  return found
end
