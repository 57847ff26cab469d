--- Reads the unique key of a record, or of one from byte 21 on (`skipped` 20): until when it is held (s start, d done, t ttl), the key.
local function unique_of(rec, skipped)
  local at = 21 - (skipped or 0)
  local name_len, key_len, high, low = string.byte(rec, at, at + 3)
  local from = at + 16 + name_len + key_len
  return string.sub(rec, from, from), string.sub(rec, from + 1, from + high * 256 + low - 1)
end
