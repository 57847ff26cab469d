--- Bytes of jobs that ended, one after the other: record, large envelope, what is told of them, history and log.
local function weight(P, ids)
  local sizes, sides = {}, redis.call("EXISTS", P .. "history", P .. "logs") > 0
  for i = 1, #ids do
    local id = ids[i]
    local size = redis.call("HSTRLEN", P .. "rec", id) + redis.call("STRLEN", P .. "big:" .. id) + redis.call("HSTRLEN", P .. "result", id)
    if sides then
      local log = redis.call("HGET", P .. "logs", id)
      size = size + redis.call("HSTRLEN", P .. "history", id) + (log and #log == 12 and select(2, struct.unpack(">I4I4", log)) or 0)
    end
    sizes[i] = size
  end
  return sizes
end
