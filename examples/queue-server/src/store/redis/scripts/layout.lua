-- Where things are, for all scripts. A queue's two keys are in one hash slot, its user's is not, and the scripts name keys
-- that they find in others: Redis Cluster is not supported.
--
--   queue   hash    owner, types (JSON, absent for all), idle (ms), heartbeat (0 or 1)
--                   next (the id of the next event), total (bytes of all events ever)
--                   base (the newest acknowledged id), acked (bytes of all events up to it)
--                   turn, ended (there once it has overflowed)
--                   poll:<token> (until when, in ms, a poll in progress may need the queue)
--   events  stream  one entry an event, <id + 1>-0: json, total (bytes of all events up to this one)
--   user    set     the user's queues, and some that have expired
--
-- The first word of an error is its code, if there is a second.

local CHANNEL = 'queue-server:look'
-- So that no queue is ever without its events: they outlive it.
local EVENTS_OUTLIVE_BY = 1000

local function queue_key(id) return 'queue-server:queue:{' .. id .. '}' end
local function events_key(id) return 'queue-server:events:{' .. id .. '}' end
local function user_key(owner) return 'queue-server:user:' .. owner end

-- 0-0 is no id of an entry, so they start at 1.
local function entry(event) return string.format('%d-0', event + 1) end

local function keep(id, ms)
  redis.call('PEXPIRE', queue_key(id), string.format('%d', ms))
  redis.call('PEXPIRE', events_key(id), string.format('%d', ms + EVENTS_OUTLIVE_BY))
end

local function keep_user(owner, ms)
  if redis.call('PTTL', user_key(owner)) < ms then
    redis.call('PEXPIRE', user_key(owner), string.format('%d', ms))
  end
end

local function drop(id, owner)
  redis.call('UNLINK', queue_key(id), events_key(id))
  redis.call('SREM', user_key(owner), id)
end

-- Tells all servers that the queue is to be looked at.
local function look(id, newest)
  redis.call('PUBLISH', CHANNEL, string.format('%s %d', id, newest))
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
