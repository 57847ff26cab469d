--- Writes what calls off the jobs that a job added for itself: `owned` is queue, kind and content of each effect, packed (`pieces`).
-- INCLUDE: pieces post
local function post_owned(q, owned)
  local found = pieces(owned)
  for i = 1, #found - 2, 3 do
    post(q, found[i], { found[i + 1], found[i + 2] })
  end
end
