--- Tells whether flags have a bit: 1 own id, 2 large envelope, 4 expires, 8 keyed, 16 unique, 32 effects.
local function has(flags, bit)
  return math.floor(flags / bit) % 2 == 1
end
