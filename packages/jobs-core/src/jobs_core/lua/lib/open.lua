--- Opens a queue for a transition: checks the schema, reads the time once, the clocks, and what is remembered of the session.
-- Returns a table with P, now (us), ms, new, stamp, lease, seen, or one with `err`. What `cfg` holds is read when first asked for.
-- `flow` is what flow control remembers of it, nil where nothing is limited.
-- `off` names what is not to be written: metrics, events; `events` is false where they are off, else what this call has to tell.
-- `sched` is when somebody is to look for schedules that are due (ms; 0: there are none).
-- INCLUDE: clock config flow
local function open(P, session)
  local now = clock()
  local m = redis.call(
    "HMGET",
    P .. "meta",
    "schema",
    "stamp",
    "lease",
    "seen",
    "session:" .. (session or ""),
    "flow",
    "off",
    "active",
    "peak",
    "day",
    "rows",
    "told",
    "sched"
  )
  if m[1] and m[1] ~= "1" then
    return redis.error_reply("SCHEMA " .. m[1])
  end
  local stamp = tonumber(m[2]) or 0
  return setmetatable({
    P = P,
    now = now,
    ms = math.floor(now / 1000),
    new = not m[1],
    stamp = stamp,
    stored = stamp,
    lease = tonumber(m[3]) or 0,
    seen = tonumber(m[4]) or 0,
    need = 0,
    kept = m[5],
    flow = m[6] and flow(m[6]),
    flowed = m[6],
    sched = tonumber(m[13]) or 0,
    fields = {},
    off = m[7] or "",
    active = tonumber(m[8]) or 0,
    counted = tonumber(m[8]) or 0,
    peak = tonumber(m[9]) or 0,
    day = m[10],
    began = m[10],
    row = tonumber(m[11]) or 0,
    rowed = tonumber(m[11]) or 0,
    told = tonumber(m[12]) or now,
    rows = {},
    entry = false,
    entered = 0,
    events = not string.find(m[7] or "", "events", 1, true) and {},
  }, { __index = config })
end
