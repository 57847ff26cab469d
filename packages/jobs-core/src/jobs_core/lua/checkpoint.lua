--- Writes the checkpoints of running jobs, which their next attempt sees; a stale fence is refused.
-- PREFIX: P
-- ARGV: owner:str
-- REST: id, fence, checkpoint (opaque, at most 64 KiB) of each job
-- RETURNS: one character a job: 1 written, 0 refused
-- INCLUDE: fenced
-- FLAGS: allow-oom
return fenced(P, P .. "checkpoint", owner, 2)
