--- Packs up to eight pieces of an effect: of each its length (4 bytes, big-endian) and its bytes. Who relays it unpacks them.
local function parts(pieces)
  local args = {}
  for i = 1, 8 do
    local piece = pieces[i]
    args[2 * i - 1] = piece and struct.pack(">I4", #piece) or ""
    args[2 * i] = piece or ""
  end
  -- In one expression they are copied once; table.concat copies a large piece again for each that follows.
  return args[1] .. args[2] .. args[3] .. args[4] .. args[5] .. args[6] .. args[7]
    .. args[8] .. args[9] .. args[10] .. args[11] .. args[12] .. args[13] .. args[14] .. args[15] .. args[16]
end
