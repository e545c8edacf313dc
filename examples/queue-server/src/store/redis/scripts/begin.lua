-- Begins a poll, or changes nothing: acknowledges what was seen, and keeps the queue alive until the poll ends, or for `lease`
-- and the idle time if its server dies and never ends it.
--
-- ARGV    id, owner, seen, token (of the polls of a server on this queue), lease (ms)
-- Returns progress (0 or 1), idle (ms), heartbeat, types (JSON, or nil for all)
-- Errors  NOTFOUND, OVERFLOWED (and the queue is gone), PRUNED <seen>, UNKNOWN <seen>

local id, owner, seen, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), 'poll:' .. ARGV[4], tonumber(ARGV[5])
local key = queue_key(id)

local fields = redis.call('HGETALL', key)
local queue = {}
for i = 1, #fields, 2 do queue[fields[i]] = fields[i + 1] end

if queue.owner ~= owner then return redis.error_reply('NOTFOUND no such queue') end
if queue.ended then
  drop(id, owner)
  return redis.error_reply('OVERFLOWED too many events')
end
local upcoming, base, idle = tonumber(queue.next), tonumber(queue.base), tonumber(queue.idle)
if seen < -1 or seen >= upcoming then return redis.error_reply('UNKNOWN ' .. ARGV[3]) end
if seen < base then return redis.error_reply('PRUNED ' .. ARGV[3]) end

local progress = 0
if seen > base then
  local newest = redis.call('XRANGE', events_key(id), entry(seen), entry(seen))[1]
  if not newest then
    -- Evicted, or deleted by hand. A queue with a hole is none.
    drop(id, owner)
    return redis.error_reply('NOTFOUND no such queue')
  end
  redis.call('XTRIM', events_key(id), 'MINID', entry(seen + 1))
  redis.call('HSET', key, 'base', ARGV[3], 'acked', newest[2][4])
  progress = 1
end

local now = now_ms()
for name, value in pairs(queue) do
  if name:sub(1, 5) == 'poll:' and tonumber(value) < now then redis.call('HDEL', key, name) end
end
redis.call('HSET', key, token, string.format('%d', now + lease))
-- A poll elsewhere may need it for longer, by the settings of its server.
local ttl = math.max(idle + lease, redis.call('PTTL', key))
keep(id, ttl)
-- Again, in case that it was evicted, or has expired before the queue.
redis.call('SADD', user_key(owner), id)
keep_user(owner, ttl)
return { progress, idle, tonumber(queue.heartbeat), queue.types or false }
