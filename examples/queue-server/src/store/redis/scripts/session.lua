-- A queue's properties, for its owner.
--
-- ARGV    id, owner
-- Returns idle (ms), heartbeat, types (JSON, or nil for all)
-- Errors  NOTFOUND

local queue = redis.call('HMGET', queue_key(ARGV[1]), 'owner', 'idle', 'heartbeat', 'types')
if queue[1] ~= ARGV[2] then return redis.error_reply('NOTFOUND no such queue') end
return { tonumber(queue[2]), tonumber(queue[3]), queue[4] }
