-- Removes a queue with its events, and tells all servers, so that a poll that is parked on it notices.
--
-- ARGV   id, owner
-- Errors NOTFOUND

local id, owner = ARGV[1], ARGV[2]
local queue = redis.call('HMGET', queue_key(id), 'owner', 'next')
if queue[1] ~= owner then return redis.error_reply('NOTFOUND no such queue') end
drop(id, owner)
look(id, queue[2] - 1)
return redis.status_reply('OK')
