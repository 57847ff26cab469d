--- Adds lines to the logs of running jobs, and drops the oldest of a job over its caps; a stale fence is refused.
-- PREFIX: P
-- ARGV: owner:str max_lines:int max_bytes:int
-- REST: of each job: id, fence, n, lines dropped before, then n lines (opaque; no more than the caps allow)
-- RETURNS: one character a job: 1 written, 0 refused
local verdicts, at = {}, 4
while at <= #ARGV do
  local id, n, gone = ARGV[at], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local fence = redis.call("ZSCORE", P .. "active:" .. owner, id)
  if fence and tonumber(fence) == tonumber(ARGV[at + 1]) then
    local key, lines, bytes = P .. "log:" .. id, 0, 0
    local kept = redis.call("HGET", P .. "logs", id)
    if kept then
      local past
      lines, bytes, past = struct.unpack(">I4I4I4", kept)
      gone = gone + past
    end
    if not kept then
      -- Of an earlier job of this id whose queue was obliterated.
      redis.call("UNLINK", key)
    end
    lines = lines + n
    for i = 1, n do
      bytes = bytes + #ARGV[at + 3 + i]
    end
    while kept and (lines > max_lines or bytes > max_bytes) do
      -- A full log is not read whole for each line that it gets.
      local old, over = redis.call("XRANGE", key, "-", "+", "COUNT", math.max(lines - max_lines, 16)), {}
      if not old[1] then
        break
      end
      for i = 1, #old do
        if lines <= max_lines and bytes <= max_bytes then
          break
        end
        over[i] = old[i][1]
        lines, bytes, gone = lines - 1, bytes - #old[i][2][2], gone + 1
      end
      redis.call("XDEL", key, unpack(over))
    end
    redis.call("HSET", P .. "logs", id, struct.pack(">I4I4I4", lines, bytes, gone))
    for i = 1, n do
      redis.call("XADD", key, "*", "line", ARGV[at + 3 + i])
    end
    verdicts[#verdicts + 1] = "1"
  else
    verdicts[#verdicts + 1] = "0"
  end
  at = at + 4 + n
end
return table.concat(verdicts)
