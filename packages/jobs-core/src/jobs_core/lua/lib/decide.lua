--- Does with a job that waits for others what the end of one decided: `go` lets it in, `failed` and `cancelled` end it.
-- `why` is whose end it was. Returns false where the job is not blocked.
-- INCLUDE: unblock give_up
local function decide(q, id, verdict, why)
  if verdict == "go" then
    return unblock(q, id)
  end
  return give_up(q, id, verdict, why)
end
