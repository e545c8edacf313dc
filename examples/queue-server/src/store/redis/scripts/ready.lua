-- Does nothing, and is refused whenever an append would be: by a Redis that is full, a replica, or cannot write to its disk.

return redis.status_reply('OK')
