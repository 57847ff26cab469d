--- Writes the effects of many jobs for one queue: as many to an entry as it may hold (128 jobs, 512 KiB, always one effect).
-- INCLUDE: post
local function post_all(q, target, kind, counts, contents)
  local effects, jobs, bytes = {}, 0, 0
  for i = 1, #contents do
    local count, size = tonumber(counts[i]), #contents[i]
    if effects[1] and (jobs + count > 128 or bytes + size > 524288) then
      post(q, target, effects)
      effects, jobs, bytes = {}, 0, 0
    end
    effects[#effects + 1] = kind
    effects[#effects + 1] = contents[i]
    jobs, bytes = jobs + count, bytes + size
  end
  if effects[1] then
    post(q, target, effects)
  end
end
