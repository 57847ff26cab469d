--- The edges of the job at this place of its group: their ordinals count on from job to job.
local function ordinals(edges, place)
  if place == 0 then
    return edges
  end
  return (string.gsub(edges, "([^:;]*:[^:;]*:)(%d+)(:%a)", function(before, ordinal, mode)
    return table.concat({ before, string.format("%.0f", ordinal + place), mode })
  end))
end
