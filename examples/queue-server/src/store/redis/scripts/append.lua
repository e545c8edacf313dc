-- Appends an event to queues. Each queue has it with the next id, or overflows: it is marked, its events are dropped, and it
-- takes no more. Whatever became of a queue, all servers are told to look at it.
--
-- ARGV    what the targets are (users, queues, or heartbeat: queues whatever types they take), type, json,
--         limit of events, limit of bytes, targets…
-- Returns the ids of the queues that have it, the ids of those that overflowed

local what, kind, json, max_events, max_bytes = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local stored, overflowed = {}, {}

local function takes(types)
  if what == 'heartbeat' or not types then return true end
  for _, one in ipairs(cjson.decode(types)) do
    if one == kind then return true end
  end
  return false
end

-- Whether there is such a queue.
local function append(id)
  local key = queue_key(id)
  local queue = redis.call('HMGET', key, 'types', 'next', 'base', 'total', 'acked', 'ended')
  if not queue[2] then return false end
  if queue[6] or not takes(queue[1]) then return true end

  local upcoming, base, total, acked = tonumber(queue[2]), tonumber(queue[3]), tonumber(queue[4]), tonumber(queue[5])
  total = total + #json
  if upcoming - base > max_events or total - acked > max_bytes then
    redis.call('HSET', key, 'ended', 1)
    redis.call('UNLINK', events_key(id))
    overflowed[#overflowed + 1] = id
    look(id, upcoming - 1)
    return true
  end

  total = string.format('%d', total)
  redis.call('XADD', events_key(id), entry(upcoming), 'json', json, 'total', total)
  redis.call('HSET', key, 'next', string.format('%d', upcoming + 1), 'total', total)
  if upcoming == 0 then
    redis.call('PEXPIRE', events_key(id), redis.call('PTTL', key) + EVENTS_OUTLIVE_BY)
  end
  stored[#stored + 1] = id
  look(id, upcoming)
  return true
end

for i = 6, #ARGV do
  if what == 'users' then
    for _, id in ipairs(redis.call('SMEMBERS', user_key(ARGV[i]))) do
      if not append(id) then redis.call('SREM', user_key(ARGV[i]), id) end
    end
  else
    append(ARGV[i])
  end
end
return { stored, overflowed }
