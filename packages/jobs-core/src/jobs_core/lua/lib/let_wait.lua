--- Looks again at a blocked job that waits for others: lets it in where they have ended, or where it waits for nobody. Returns whether it did;
-- nil where it waits for its unique key.
-- INCLUDE: has unique_of join unblock
local function let_wait(q, id, rec)
  local P = q.P
  if not rec or not redis.call("ZSCORE", P .. "blocked", id) then
    return nil
  elseif has(string.byte(rec, 2), 16) then
    local key = select(2, unique_of(rec))
    if not redis.call("ZSCORE", P .. "joins", id) or redis.call("HGET", P .. "uniq.next", key) == id then
      return nil
    end
  end
  local n = redis.call("HGET", table.concat({ P, "join:", id }), "n")
  if n then
    join(q, id, tonumber(n))
  else
    unblock(q, id)
  end
  return not redis.call("ZSCORE", P .. "blocked", id)
end
