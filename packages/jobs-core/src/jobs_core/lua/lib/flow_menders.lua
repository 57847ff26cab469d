--- What mends flows, by code: what is counted or listed wrongly, and those who wait for a job that is nowhere.
-- INCLUDE: flow_keys flow_ended forget_flows resolve let_wait
local function flow_menders(q, homes_of)
  local P = q.P
  -- Counts what has ended by its bits; an end that nothing is known of is missing. Returns whether that was counted otherwise.
  local function count(keys)
    local f = redis.call("HMGET", keys.flow, "n", "resolved", "c", "f", "x", "e", "r", "s", "m")
    local n, sum = tonumber(f[1] or 0), 0
    for i = 3, 9 do
      sum = sum + tonumber(f[i] or 0)
    end
    local below, bits = n > 0 and redis.call("BITCOUNT", keys.done, 0, n - 1, "BIT") or 0, redis.call("BITCOUNT", keys.done)
    local wrong = bits ~= sum or f[1] and below ~= tonumber(f[2] or 0)
    if bits ~= sum then
      redis.call("HINCRBY", keys.flow, bits > sum and "m" or "c", bits - sum)
    end
    if f[1] then
      redis.call("HSET", keys.flow, "resolved", below)
    end
    return wrong
  end
  local ended = { completed = true, failed = true, cancelled = true }
  return {
    flow = function(id, rec)
      local done, keys = false, flow_keys(P, id, true)
      if redis.call("EXISTS", keys.flow) == 1 then
        done = count(keys)
        if redis.call("ZSCORE", P .. "joins", id) then
          done = redis.call("ZREM", P .. "early", id) == 1 or done
          done = redis.call("HSETNX", keys.flow, "n", 0) == 1 or done
        end
      elseif redis.call("ZREM", P .. "joins", id) == 1 then
        done = true
      end
      if done and rec and homes_of(id)[1] == "blocked" then
        let_wait(q, id, rec)
      end
      keys = flow_keys(P, id)
      local state = redis.call("HGET", keys.flow, "state")
      local lists = {}
      for _, name in ipairs({ "flows", "flows.ended", "flows.due" }) do
        lists[name] = redis.call("ZSCORE", P .. name, id)
      end
      if redis.call("EXISTS", keys.flow) == 0 then
        for name in pairs(lists) do
          done = redis.call("ZREM", P .. name, id) == 1 or done
        end
        return done
      end
      done = count(keys) or done
      local now = string.format("%.0f", q.ms)
      if ended[state] then
        done = redis.call("ZREM", P .. "flows", id) == 1 or done
        done = not lists["flows.ended"] and redis.call("ZADD", P .. "flows.ended", now, id) == 1 or done
        done = redis.call("UNLINK", keys.staged, keys.chunks) > 0 or done
        done = redis.call("HDEL", P .. "waiters", table.concat({ "\1", id })) == 1 or done
        if redis.call("HEXISTS", keys.flow, "called_off") == 1 and not lists["flows.due"] then
          done = redis.call("ZADD", P .. "flows.due", now, id) == 1 or done
        end
        return done
      end
      done = not state and redis.call("HSET", keys.flow, "state", "running") == 1 or done
      done = redis.call("ZREM", P .. "flows.ended", id) == 1 or done
      done = not lists.flows and redis.call("ZADD", P .. "flows", now, id) == 1 or done
      if (state == "open" or state == "staging" or redis.call("EXISTS", keys.staged) == 1) and not lists["flows.due"] then
        local timeout = state == "running" and 0 or tonumber(redis.call("HGET", keys.flow, "timeout") or 0)
        done = redis.call("ZADD", P .. "flows.due", string.format("%.0f", q.ms + timeout), id) == 1 or done
      end
      if redis.call("EXISTS", keys.staged) == 0 then
        flow_ended(q, id)
        done = redis.call("HGET", keys.flow, "state") ~= state or done
      end
      return done
    end,
    stuck = function(about)
      local kind, ordinal, id = string.match(about, "^(%a) (%d+) (.+)$")
      local keys = flow_keys(P, id, kind == "j")
      local waits = redis.call("ZSCORE", P .. (kind == "j" and "blocked" or "flows"), id)
      if not waits or redis.call("GETBIT", keys.done, ordinal) == 1 then
        return false
      end
      resolve(q, id, { { tonumber(ordinal), kind == "j" and "f" or "n", "m", "? ?", cmsgpack.pack({ "", "" }) } })
      return true
    end,
  }
end
