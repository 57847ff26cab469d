--- Unpacks what is known of a schedule besides its definition: version, since, next, fired, last, delay (all times in ms), counts of
-- late, skipped, missed and overlapped fires, halts (1: a failure pauses it), status (1 active, 2 paused, 3 ended), job (the last one sent).
local function schedule(packed)
  if not packed then
    return nil
  end
  local s = {}
  local at
  s.version, s.since, s.next, s.fired, s.last, s.delay, s.late, s.skipped, s.missed, s.overlapped, s.halts, s.status, at =
    struct.unpack(">I4I8I8I8I8I8I4I4I4I4BB", packed)
  s.job = string.sub(packed, at)
  return s
end
