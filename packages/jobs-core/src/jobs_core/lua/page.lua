--- Pages through one home from a position on; with a job name only its jobs, looking at no more than 256 of the others.
-- PREFIX: P
-- ARGV: home:str newest:int score:str id:str skip:int limit:int name:str
-- RETURNS: ids, their scores, score and id of the last one looked at ("" at the end of the home), how many were skipped
-- INCLUDE: record position
-- FLAGS: no-writes
local key = P .. home
local range, card, start = newest == 1 and "ZREVRANGE" or "ZRANGE", redis.call("ZCARD", key), 0
if score ~= "" then
  local before, there = position(key, score, id)
  if newest == 1 then
    start = card - before
  else
    start = before + (there and 1 or 0)
  end
end
local skipped = math.min(skip, math.max(card - start, 0))
start = start + skipped

local ids, scores, looked, bytes, last, last_score = {}, {}, 0, 0, "", ""
while #ids < limit and looked < 256 and bytes < 524288 do
  local step = name == "" and limit or 32
  local found = redis.call(range, key, start + looked, start + looked + step - 1, "WITHSCORES")
  local members = {}
  for i = 1, #found, 2 do
    members[#members + 1] = found[i]
  end
  local recs = {}
  if name ~= "" and members[1] then
    recs = redis.call("HMGET", P .. "rec", unpack(members))
  end
  for i = 1, #members do
    local match = name == ""
    if recs[i] then
      local _, _, _, _, wire = record(recs[i])
      match = wire == name or string.sub(wire, 1, #name + 1) == name .. "@"
      bytes = bytes + #recs[i]
    end
    if match then
      ids[#ids + 1] = members[i]
      scores[#ids] = found[2 * i]
    end
    looked, last, last_score = looked + 1, members[i], found[2 * i]
    if #ids >= limit then
      break
    end
  end
  if #members < step then
    break
  end
end
if start + looked >= card then
  last, last_score = "", ""
end
return { ids, scores, last_score, last, skipped }
