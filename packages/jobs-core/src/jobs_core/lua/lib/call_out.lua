--- Tells workers, when all is written, what `stop` has for them: channel and message of each. No transition fails for a message.
local function call_out(messages)
  for i = 1, #messages do
    redis.pcall("SPUBLISH", messages[i][1], messages[i][2])
  end
end
