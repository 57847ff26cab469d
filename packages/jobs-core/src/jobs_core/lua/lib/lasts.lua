--- Tells whether a pause is in force, by its end as it is kept (ms; 0: it has none; no end: there is no pause).
local function lasts(q, till)
  till = tonumber(till or -1)
  return till == 0 or till > q.ms
end
