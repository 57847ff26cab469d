--- Cancels jobs wherever they are: one that has not started ends at once, one that runs is marked, and its worker is told.
-- PREFIX: P
-- REST: ids (at most 128)
-- RETURNS: for each: cancelled, requested (it runs), already_finished or not_found; fewer than asked for when they are large (call again for the rest); then entries of the outbox
-- ERRORS: SCHEMA, WRONGTYPE
-- INCLUDE: open save unsound stop within call_out
-- FLAGS: allow-oom
local q = open(P)
local bad = q.err and q or unsound(P)
if bad then
  return bad
end
if not ARGV[1] then
  return { {}, {} }
end
if q.new then
  -- Nobody ever used it, and who mistypes its name is not to make it.
  local none = {}
  for i = 1, #ARGV do
    none[i] = "not_found"
  end
  return { none, {} }
end
local verdicts, told = stop(q, within(P, { unpack(ARGV) }))
save(q)
call_out(told)
return { verdicts, rawget(q, "posted") or {} }
