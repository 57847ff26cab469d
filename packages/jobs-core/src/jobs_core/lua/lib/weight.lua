--- Bytes of a job: its record and its large envelope.
local function weight(P, id)
  return redis.call("HSTRLEN", P .. "rec", id) + redis.call("STRLEN", P .. "big:" .. id)
end
