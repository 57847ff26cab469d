--- Notes an event of the queue; saving the queue writes all of a call as one entry. Nothing depends on events.
local function event(q, kind, text)
  local events = q.events
  if events then
    events[#events + 1] = kind
    events[#events + 1] = text
  end
end
