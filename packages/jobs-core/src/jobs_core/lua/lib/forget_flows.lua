--- Removes the flows of these ids with all that is kept of them; of jobs that waited for others where it is `joins`.
-- INCLUDE: flow_keys
local function forget_flows(q, ids, joins)
  for i = 1, #ids do
    local gone = {}
    for _, key in pairs(flow_keys(q.P, ids[i], joins)) do
      gone[#gone + 1] = key
    end
    redis.call("UNLINK", unpack(gone))
  end
end
