--- Counts the jobs that run by name, without changing anything; about 512 of them, or 512 KiB of records, are looked at.
-- PREFIX: P
-- RETURNS: name@version and count of each; under "" those that were not looked at
-- ERRORS: SCHEMA
-- INCLUDE: open record
-- FLAGS: no-writes
local q = open(P)
if q.err then
  return q
end
local all, ids = 0, {}
local owners = redis.call("ZRANGE", P .. "owners", 0, -1)
for i = 1, #owners do
  local active = P .. "active:" .. owners[i]
  all = all + redis.call("ZCARD", active)
  if #ids < 512 then
    local some = redis.call("ZRANGE", active, 0, 511 - #ids)
    for j = 1, #some do
      ids[#ids + 1] = some[j]
    end
  end
end
local counts, seen, bytes = {}, 0, 0
for i = 1, #ids, 16 do
  if bytes >= 524288 then
    break
  end
  local recs = redis.call("HMGET", P .. "rec", unpack(ids, i, math.min(i + 15, #ids)))
  for j = 1, #recs do
    if recs[j] then
      local _, _, _, _, name = record(recs[j])
      counts[name] = (counts[name] or 0) + 1
      seen, bytes = seen + 1, bytes + #recs[j]
    end
  end
end
local out = { "", all - seen }
for name, count in pairs(counts) do
  out[#out + 1] = name
  out[#out + 1] = count
end
return out
