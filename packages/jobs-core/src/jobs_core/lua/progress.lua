--- Writes the progress of running jobs; a stale fence is refused.
-- PREFIX: P
-- ARGV: owner:str told:str
-- REST: id, fence, progress (opaque) of each job; `told` is what the events say of them (opaque, empty: nothing)
-- RETURNS: one character a job: 1 written, 0 refused
-- ERRORS: SCHEMA
-- INCLUDE: open save event fenced
-- FLAGS: allow-oom
local verdict = fenced(P, P .. "progress", owner, 3)
if told ~= "" and string.find(verdict, "1", 1, true) then
  local q = open(P)
  if q.err then
    return q
  end
  event(q, "told", told)
  if string.find(verdict, "0", 1, true) then
    event(q, "verdict", verdict)
  end
  save(q)
end
return verdict
