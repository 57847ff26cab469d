--- Cuts a list of jobs off where their records are 512 KiB together (one always stays), so that a call may read all of them.
-- Where `sizes` are given they count, up to 32 MiB: so much memory is given back in about as long. Returns the list.
local function within(P, ids, sizes)
  local bytes, most = 0, sizes and 33554432 or 524288
  for i = 1, #ids do
    bytes = bytes + (sizes and sizes[i] or redis.call("HSTRLEN", P .. "rec", ids[i]))
    if bytes > most and i > 1 then
      return { unpack(ids, 1, i - 1) }
    end
  end
  return ids
end
