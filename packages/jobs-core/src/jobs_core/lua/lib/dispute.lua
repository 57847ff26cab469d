--- Decides what becomes of a new job whose unique key may be held, and changes `held` as if it had happened already.
-- Returns its verdict and the id of the job that stands for it. `list` gathers the jobs that are to be written anew.
-- INCLUDE: renew take_over
local function dispute(q, held, job, how, list)
  local holder, key, conflict = held[job.key], job.key, how.conflict
  local bars = conflict == "skip" or conflict == "error" or conflict == "extend"
  if not holder or holder.state == "ended" and not bars then
    held[key] = { id = job.id, state = "new", job = job, due = how.ttl and q.ms + how.ttl, taken = true }
    return "1"
  elseif conflict == "skip" then
    return "s", holder.id
  elseif conflict == "error" then
    return "x", holder.id
  elseif conflict == "extend" then
    if how.ttl then
      holder.due, holder.extended = math.max(holder.due or 0, q.ms + how.ttl), true
    end
    if job.due > 0 and (holder.state == "delayed" or holder.state == "new") then
      local there = renew(q, holder, list)
      if there.due > q.ms and job.due > there.due then
        there.expires = there.expires and there.expires + job.due - there.due
        there.due, there.moved = job.due, true
      end
    end
    return "e", holder.id
  end
  local behind = holder.state == "blocked" and holder or holder.next
  if behind then
    take_over(renew(q, behind, list), job, conflict ~= "keep_last")
    return "k", behind.id
  elseif holder.state == "active" then
    -- One job may wait behind the one that runs.
    job.home = "blocked"
    holder.next = { id = job.id, state = "new", job = job, taken = true }
    return "k", job.id
  end
  if how.ttl and not holder.due then
    holder.due, holder.extended = q.ms + how.ttl, true
  end
  local there = renew(q, holder, list)
  local late = there.home == "delayed"
  if how.max_wait then
    job.due = math.min(job.due, math.floor(there.stamp / 1000) + how.max_wait)
  end
  -- What is due already is postponed no more: it only runs with the newest payload.
  take_over(there, job, conflict == "replace" or conflict == "debounce" and late)
  return "r", there.id
end
