--- Reads the fixed header of a record by position: flags, priority, stamp (us), due (ms), name@version, bytes before the envelope.
local function record(rec)
  local flags, _, priority, stamp, due, name_len, key_len, unique_len = struct.unpack(">BBBI8I8BBI2", rec, 2)
  local name = string.sub(rec, 37, 36 + name_len)
  return flags, priority, stamp, due, name, 36 + name_len + key_len + unique_len
end
