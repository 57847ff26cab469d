--- Counts dead letters by original queue, name and error group, given one behind the other. A queue has 50 such pairs of name and
-- group at most; what comes on top is counted under `*`.
local function count_letters(q, triples)
  local key = q.P .. "letters"
  for i = 1, #triples, 3 do
    local queue, name, group = triples[i], triples[i + 1], triples[i + 2]
    local field = table.concat({ queue, name, group }, "\n")
    if redis.call("HEXISTS", key, field) == 0 and redis.call("HINCRBY", key, queue, 1) > 50 then
      redis.call("HINCRBY", key, queue, -1)
      field = table.concat({ queue, "*", "*" }, "\n")
    end
    redis.call("HINCRBY", key, field, 1)
  end
end
