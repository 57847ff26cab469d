--- Reads what a group of new jobs is to be decided by, `k=v,…`; numbers come as numbers.
local function choices(text)
  local found = {}
  for name, value in string.gmatch(text, "([^,=]+)=([^,]*)") do
    found[name] = tonumber(value) or value
  end
  return found
end
