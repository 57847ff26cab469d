--- Gives a failed job that comes back its unique key again, if nobody holds it by now; without it the job runs all the same.
-- INCLUDE: has unique_of
local function retake(q, id, rec)
  if has(string.byte(rec, 2), 16) then
    local mode, key = unique_of(rec)
    if key ~= "" and mode ~= "t" then
      redis.call("HSETNX", q.P .. "uniq", key, id)
    end
  end
end
