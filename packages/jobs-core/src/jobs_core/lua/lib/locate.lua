--- Finds jobs and all that is kept of them: state, record, what is told of a finished one, state entry, progress, fence, history.
-- INCLUDE: homes
local function locate(P, ids)
  local states, fences = homes(P, ids)
  local columns = { states, false, false, false, false, fences, false }
  for at, key in pairs({ [2] = "rec", [3] = "result", [4] = "state", [5] = "progress", [7] = "history" }) do
    columns[at] = redis.call("HMGET", P .. key, unpack(ids))
  end
  local found, bytes = {}, 0
  for i = 1, #ids do
    found[i] = {}
    for at = 1, 7 do
      found[i][at] = columns[at][i] or ""
      bytes = bytes + #found[i][at]
    end
  end
  return found, bytes
end
