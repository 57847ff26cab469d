--- The key of a job, from its record ("": none).
local function key_of(rec)
  local name_len, key_len = string.byte(rec, 21, 22)
  return string.sub(rec, 37 + name_len, 36 + name_len + key_len)
end
