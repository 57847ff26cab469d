--- Cuts a list of jobs off where their records are 512 KiB together (one always stays), so that a call may read all of them.
-- `whole` counts large envelopes too. Returns the list.
local function within(P, ids, whole)
  local bytes = 0
  for i = 1, #ids do
    bytes = bytes + redis.call("HSTRLEN", P .. "rec", ids[i])
    if whole then
      bytes = bytes + redis.call("STRLEN", P .. "big:" .. ids[i])
    end
    if bytes > 524288 and i > 1 then
      return { unpack(ids, 1, i - 1) }
    end
  end
  return ids
end
