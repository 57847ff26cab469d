--- Writes what a claim planned for the keys that it came by: whose turn is when, who is parked, how many jobs of each run.
local function advance(q, plan)
  local P = q.P
  if plan.out and plan.out[1] then
    redis.call("ZREM", P .. "ring", unpack(plan.out))
  end
  if plan.kparked[1] then
    redis.call("ZADD", P .. "kparked", unpack(plan.kparked))
  end
  if plan.ring and plan.ring[2] then
    redis.call("ZADD", P .. "ring", unpack(plan.ring))
  end
  if plan.kbucket and plan.kbucket[1] then
    redis.call("ZADD", P .. "kbucket", unpack(plan.kbucket))
  end
  if plan.kactive and plan.kactive[1] then
    redis.call("HSET", P .. "kactive", unpack(plan.kactive))
  end
end
