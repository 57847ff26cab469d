--- The keys of a flow: what is counted, which jobs have ended (a bit each), what is told of these, what they are, what is kept back, and
-- which chunks were added.
local function flow_keys(P, id)
  local keys = { flow = table.concat({ P, "flow:", id }) }
  for _, part in ipairs({ "done", "results", "nodes", "staged", "chunks" }) do
    keys[part] = table.concat({ P, "flow.", part, ":", id })
  end
  return keys
end
