--- The keys of a flow of its own: what is counted, which jobs have ended (a bit each), what is told of these, what they are, what is kept
-- back, and which chunks were added; or, of a job that waits for others (`joins`), the first three of its own,
-- and what calls off the jobs that it added for itself.
local function flow_keys(P, id, joins)
  local family = joins and "join" or "flow"
  local keys = { flow = table.concat({ P, family, ":", id }) }
  for _, part in ipairs(joins and { "done", "results", "owned" } or { "done", "results", "nodes", "staged", "chunks" }) do
    keys[part] = table.concat({ P, family, ".", part, ":", id })
  end
  return keys
end
