--- Cancels the children of a job of a tree that was cancelled, `count` from ordinal `first` on, by effects for their queues, 128 of them; an
-- effect for this very queue goes on. Each that is cancelled has its own children cancelled by its end; those of one that has ended before
-- are cancelled from here. Where some of the tree are kept back, it comes behind these.
-- INCLUDE: parts post flow_keys
local function flow_cancel_below(q, id, first, count)
  local P, keys = q.P, flow_keys(q.P, id)
  local own = string.match(P, "{(.*)}")
  if redis.call("HGET", keys.flow, "state") ~= "running" then
    return
  elseif redis.call("EXISTS", keys.staged) == 1 then
    redis.call("RPUSH", keys.staged, parts({ own, "cancel_below", cmsgpack.pack({ id, first, count }) }))
    return
  end
  local ids = {}
  for ordinal = first, first + math.min(count, 128) - 1 do
    local node = redis.call("HGET", keys.nodes, ordinal)
    local said = node and cmsgpack.unpack(node)
    if said and redis.call("GETBIT", keys.done, ordinal) == 0 then
      ids[said[1]] = ids[said[1]] or {}
      table.insert(ids[said[1]], said[2])
    elseif said and said[6] then
      post(q, own, { "cancel_below", cmsgpack.pack({ id, said[6][1], said[6][2] }) })
    end
  end
  for target, its in pairs(ids) do
    -- Whoever follows them besides hears of their end.
    post(q, target, { "disown", cmsgpack.pack({ "", unpack(its) }) })
  end
  if count > 128 then
    post(q, own, { "cancel_below", cmsgpack.pack({ id, first + 128, count - 128 }) })
  end
end
