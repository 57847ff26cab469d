--- Packs pieces of an effect: of each its length (4 bytes, big-endian) and its bytes. Who relays it unpacks them.
local function parts(pieces)
  local packed = {}
  for i = 1, #pieces do
    packed[2 * i - 1] = struct.pack(">I4", #pieces[i])
    packed[2 * i] = pieces[i]
  end
  return table.concat(packed)
end
