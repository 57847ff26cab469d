--- Writes down what a worker tells besides its settlements, in a group like theirs that begins at argument `at`:
-- `measure`: operations on the histograms of a name; `error`: type, count of what failed; `tell`: how many ended, their batches, whether
-- events tell of them, and what more these tell (opaque).
-- What is told of deliveries that were refused, or ended as cancelled instead, is left to the reader, who gets the verdict.
-- INCLUDE: histogram count_error event
local function note(q, at, verdict)
  local verb, name, n, first = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), at + 9
  if verb == "measure" then
    histogram(q, name, { unpack(ARGV, first, first + 4 * n - 1) })
  elseif verb == "error" then
    for i = first, first + 4 * n - 1, 4 do
      count_error(q, name, ARGV[i], ARGV[i + 1])
    end
  else
    local refused = string.find(verdict, "[0c]") and verdict
    local ended, batches, events, more = unpack(ARGV, first, first + 3)
    if ended ~= "0" then
      q.entered = tonumber(ended)
      q.entry = { "batches", batches }
      if refused then
        q.entry[3], q.entry[4] = "verdict", refused
      end
    end
    if events ~= "0" then
      event(q, "batches", batches)
      if more ~= "" then
        event(q, "more", more)
      end
      if refused then
        event(q, "verdict", refused)
      end
    end
  end
end
