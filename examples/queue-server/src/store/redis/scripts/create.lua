-- Makes a queue, unless its owner has too many. Counts only queues that live, and forgets the others.
--
-- ARGV   id, owner, types (JSON, or empty for all), idle (ms), heartbeat (0 or 1), limit
-- Errors TOOMANY <count>, EXISTS

local id, owner, types, idle, heartbeat, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local user = user_key(owner)

if redis.call('EXISTS', queue_key(id)) == 1 then return redis.error_reply('EXISTS it does') end

local count = 0
for _, other in ipairs(redis.call('SMEMBERS', user)) do
  if redis.call('EXISTS', queue_key(other)) == 1 then
    count = count + 1
  else
    redis.call('SREM', user, other)
  end
end
if count >= limit then return redis.error_reply('TOOMANY ' .. count) end

redis.call('HSET', queue_key(id), 'owner', owner, 'idle', idle, 'heartbeat', heartbeat,
  'next', 0, 'total', 0, 'base', -1, 'acked', 0, 'turn', 0)
if types ~= '' then redis.call('HSET', queue_key(id), 'types', types) end
redis.call('SADD', user, id)
keep(id, idle)
keep_user(owner, idle)
return redis.status_reply('OK')
