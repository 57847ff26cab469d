--- Adds what an attempt left to the history of its job, at most 64 KiB: the oldest go. `ended` says that it is what was told of an end.
local function record_attempt(P, id, entry, ended)
  if ended then
    -- The high bit tells it from an attempt that was retried.
    entry = table.concat({ struct.pack(">I4", 2147483648 + #entry), entry })
  end
  local past, at = redis.call("HGET", P .. "history", id) or "", 1
  while #past - at + 1 + #entry > 65536 do
    if #past - at < 3 then
      if #entry > 65536 then
        return
      end
      at = #past + 1
      break
    end
    at = at + 4 + struct.unpack(">I4", past, at) % 2147483648
  end
  redis.call("HSET", P .. "history", id, table.concat({ string.sub(past, at), entry }))
end
