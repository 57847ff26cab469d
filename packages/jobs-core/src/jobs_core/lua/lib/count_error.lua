--- Counts attempts that failed by the type of their error; at most 50 types and job names have their own count, the rest are `other`.
local function count_error(q, name, kind, n)
  local errors, field = q.P .. "errors", name .. ":" .. kind
  if redis.pcall("HEXISTS", errors, field) == 0 then
    local size = redis.pcall("HLEN", errors)
    if type(size) == "number" and size >= 50 then
      field = size < 100 and name .. ":other" or ":other"
    end
  end
  redis.pcall("HINCRBY", errors, field, n)
end
