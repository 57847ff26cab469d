--- Splits the verdict of `admit`: a character a job, and the ids that stand for those that were not added.
local function verdicts(verdict)
  local signs, rest = string.match(verdict, "^([^\n]*)\n?(.*)$")
  local ids = { at = 1 }
  for id in string.gmatch(rest, "[^\n]+") do
    ids[#ids + 1] = id
  end
  return signs, ids
end
