--- Reads parts of several keys of a queue in one step, as the checker asks for them: what it judges must be of one instant.
-- PREFIX: P
-- REST: groups of: kind, key without the prefix, n, then n members (at most 4096 in all); n may be "=": the members of the group before, of which nothing is told where the key is not there
-- RETURNS: of each group a list: `jobs` how many of these jobs the groups that follow with "=" are about (as many as have 512 KiB of records), `hash` values, `has` 1 or 0, `zset` scores, `rec` headers, `there` 1 or 0 for KEY:MEMBER, `all` members and scores of a sorted set of at most 4096, `fields` of a small hash, `head` first member and score of a sorted set, `active` owners that have jobs and scores of the members, `lines` entries of the stream KEY:MEMBER, `extent` bytes of the string KEY:MEMBER, `ends` ids of the first and the last entry of a stream, `lowest` the lowest score of a sorted set, `weigh` size and bytes of a home (-1: more than 1000), `names` size and jobs by name of a home (-1: more than 500, or 512 KiB), `letters` size and dead letters by original queue (-1: more than 5000), `joins` of each job that waits for others, and `flows` of each flow: what is counted of it, see below, `bits` of the string KEY:MEMBER, `part` one element of the list KEY at the index MEMBER, `keyed` scores below the key of each job (of a queue indexed by key), `key` of each ring, kparked, kactive, jobs waiting, and how many of these wait nowhere else (of fewer keys where they have many jobs), `running` how many jobs run, then those that are counted by key (-1 first: more than 1000, or 1 MiB)
-- INCLUDE: record weight key_of flow within letters_of
-- FLAGS: no-writes
local function whole(key, most)
  local card = redis.call("ZCARD", key)
  return card, card <= most and redis.call("ZRANGE", key, 0, -1) or nil
end
local function of_each(command)
  return function(key, members)
    local found = {}
    for i = 1, #members do
      local id = members[i]
      found[i] = redis.call(command, key .. ":" .. id)
    end
    return found
  end
end
local signs = { "c", "f", "x", "e", "r", "s", "m" }
-- Of what a flow counts: state, jobs, resolved, what was decided; bits below the jobs, all bits, ends by sign.
local function counted(key, done)
  local f = redis.call("HMGET", key, "state", "n", "resolved", "verdict", "called_off", unpack(signs))
  local n, sum = tonumber(f[2] or 0), 0
  for i = 1, #signs do
    sum = sum + tonumber(f[5 + i] or 0)
  end
  local below = n > 0 and redis.call("BITCOUNT", done, 0, n - 1, "BIT") or 0
  return { f[1] or "", f[2] or "", f[3] or "", f[4] or "", f[5] or "", below, redis.call("BITCOUNT", done), sum }
end
local readers = {
  joins = function(_, members)
    local found = {}
    for i = 1, #members do
      local id = members[i]
      local key = table.concat({ P, "join:", id })
      found[i] = redis.call("EXISTS", key) == 1 and counted(key, table.concat({ P, "join.done:", id }))
    end
    return found
  end,
  flows = function(_, members)
    local found = {}
    for i = 1, #members do
      local id = members[i]
      local its = counted(table.concat({ P, "flow:", id }), table.concat({ P, "flow.done:", id }))
      its[9] = redis.call("EXISTS", table.concat({ P, "flow:", id }))
      its[10] = redis.call("LLEN", table.concat({ P, "flow.staged:", id }))
      for _, name in ipairs({ "flows", "flows.ended", "flows.due", "trash.flows", "trash.flows.ended" }) do
        its[#its + 1] = redis.call("ZSCORE", P .. name, id) and 1 or 0
      end
      its[#its + 1] = redis.call("HEXISTS", P .. "waiters", table.concat({ "\1", id }))
      found[i] = its
    end
    return found
  end,
  bits = of_each("GET"),
  part = function(key, members)
    return { redis.call("LINDEX", key, members[1]) }
  end,
  hash = function(key, members)
    return redis.call("HMGET", key, unpack(members))
  end,
  has = function(key, members)
    local found = {}
    for i = 1, #members do
      found[i] = redis.call("HEXISTS", key, members[i])
    end
    return found
  end,
  zset = function(key, members)
    return redis.call("ZMSCORE", key, unpack(members))
  end,
  rec = function(key, members)
    local found = {}
    for i = 1, #members do
      local rec = redis.call("HGET", key, members[i])
      if rec and #rec >= 36 then
        local _, _, _, _, _, head = record(rec)
        rec = string.sub(rec, 1, head)
      end
      found[i] = rec
    end
    return found
  end,
  there = of_each("EXISTS"),
  lines = of_each("XLEN"),
  extent = of_each("STRLEN"),
  ends = function(key)
    local first = redis.call("XRANGE", key, "-", "+", "COUNT", 1)[1]
    return first and { first[1], redis.call("XREVRANGE", key, "+", "-", "COUNT", 1)[1][1] } or {}
  end,
  lowest = function(key)
    local found = redis.call("ZRANGE", key, 0, 0, "WITHSCORES")
    return { found[2] }
  end,
  all = function(key)
    local card = redis.call("ZCARD", key)
    return card <= 4096 and redis.call("ZRANGE", key, 0, -1, "WITHSCORES") or {}
  end,
  head = function(key)
    return redis.call("ZRANGE", key, 0, 0, "WITHSCORES")
  end,
  fields = function(key)
    return redis.call("HGETALL", key)
  end,
  active = function(_, members)
    local found, owners = {}, redis.call("ZRANGE", P .. "owners", 0, -1)
    for i = 1, #owners do
      local key = P .. "active:" .. owners[i]
      if redis.call("EXISTS", key) == 1 then
        found[#found + 1], found[#found + 2] = owners[i], redis.call("ZMSCORE", key, unpack(members))
      end
    end
    return found
  end,
  weigh = function(key)
    local card, ids = whole(key, 1000)
    local bytes, sizes = ids and 0 or -1, weight(P, ids or {})
    for i = 1, #sizes do
      bytes = bytes + sizes[i]
    end
    return { card, bytes }
  end,
  keyed = function(_, members)
    local found, index = {}, flow(redis.call("HGET", P .. "meta", "flow") or nil).index
    for i = 1, index == 2 and #members or 0 do
      local rec = redis.call("HGET", P .. "rec", members[i])
      local key = rec and #rec >= 36 and key_of(rec)
      found[i] = key and redis.call("ZSCORE", P .. "k:" .. key, members[i])
    end
    return found
  end,
  key = function(_, members)
    local found, looked = {}, 0
    for i = 1, #members do
      if looked > 2048 then
        break
      end
      local key, lost = members[i], 0
      local card, ids = whole(P .. "k:" .. key, 1000)
      if card > 0 and ids then
        local scores = redis.call("ZMSCORE", P .. "waiting", unpack(ids))
        looked = looked + #ids
        for j = 1, #ids do
          lost = lost + (scores[j] and 0 or 1)
        end
      end
      local turn, parked = redis.call("ZSCORE", P .. "ring", key), redis.call("ZSCORE", P .. "kparked", key)
      found[i] = { turn, parked, redis.call("HGET", P .. "kactive", key), card, lost }
    end
    return found
  end,
  running = function()
    local found, total, counts, owners = {}, 0, {}, redis.call("ZRANGE", P .. "owners", 0, -1)
    local all, bytes = 0, 0
    local since = flow(redis.call("HGET", P .. "meta", "flow") or nil).since
    for i = 1, #owners do
      local ids = redis.call("ZRANGEBYSCORE", P .. "active:" .. owners[i], since, "+inf")
      total = total + #ids
      all = all + redis.call("ZCARD", P .. "active:" .. owners[i])
      for j = 1, total <= 1000 and #ids or 0 do
        local rec = redis.call("HGET", P .. "rec", ids[j])
        local key = rec and key_of(rec) or ""
        bytes = bytes + (rec and #rec or 0)
        if bytes > 1048576 then
          total = 1001
          break
        end
        if key ~= "" then
          counts[key] = (counts[key] or 0) + 1
        end
      end
    end
    found[1] = total <= 1000 and all or -1
    for key, n in pairs(counts) do
      found[#found + 1], found[#found + 2] = key, n
    end
    return found
  end,
  letters = function()
    local found, counts = { redis.call("HLEN", P .. "rec") }, letters_of(P)
    for queue, n in pairs(counts or {}) do
      found[#found + 1], found[#found + 2] = queue, n
    end
    return counts and found or { -1 }
  end,
  names = function(key)
    local card, ids = whole(key, 500)
    if not ids or #within(P, ids) < #ids then
      return { -1 }
    end
    local found, counts = { card }, {}
    for i = 1, #ids do
      local rec = redis.call("HGET", P .. "rec", ids[i])
      if rec then
        local _, _, _, _, name = record(rec)
        counts[name] = (counts[name] or 0) + 1
      end
    end
    for name, n in pairs(counts) do
      found[#found + 1], found[#found + 2] = name, n
    end
    return found
  end,
}
-- Whose members are read of the key itself: nothing has to be looked up where it is not there.
local plain = { hash = true, has = true, zset = true }
local out, at, members = {}, 1, {}
while ARGV[at] do
  local kind, key, n = ARGV[at], P .. ARGV[at + 1], tonumber(ARGV[at + 2])
  if n then
    members = {}
    for i = 1, n do
      members[i] = ARGV[at + 2 + i]
    end
  end
  if kind == "jobs" then
    members = within(P, members)
    out[#out + 1] = { #members }
  elseif not n and plain[kind] and redis.call("EXISTS", key) == 0 then
    out[#out + 1] = {}
  else
    out[#out + 1] = readers[kind](key, members)
  end
  at = at + 3 + (n or 0)
end
return out
