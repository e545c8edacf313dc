-- The oldest events after `after`, for a poll that has the queue, takes it, or does neither. Of the refusals, the first that holds: so a poll that was superseded never takes the
-- word of an overflow, which is told once, from the poll that has the queue.
--
-- ARGV    id, after, turn (or `take`, or empty), page, token (as for `begin`, with `take`)
-- Returns turn, { id, json, id, json, … }
-- Errors  NOTFOUND, SUPERSEDED, OVERFLOWED (and the queue is gone)

local id, after, turn, page = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local queue = redis.call('HMGET', queue_key(id), 'owner', 'next', 'base', 'turn', 'ended')
local owner, upcoming, base = queue[1], tonumber(queue[2] or 0), tonumber(queue[3] or 0)

if not owner then return redis.error_reply('NOTFOUND no such queue') end
if turn == 'take' then
  queue[4] = redis.call('HINCRBY', queue_key(id), 'turn', 1)
  -- A poll that is parked on another server is superseded, and is to notice.
  for _, name in ipairs(redis.call('HKEYS', queue_key(id))) do
    if name:sub(1, 5) == 'poll:' and name ~= 'poll:' .. ARGV[5] then
      look(id, upcoming - 1)
      break
    end
  end
elseif turn ~= '' and turn ~= queue[4] then return redis.error_reply('SUPERSEDED by a later poll') end
if queue[5] then
  drop(id, owner)
  return redis.error_reply('OVERFLOWED too many events')
end

local first = math.max(after, base) + 1
if first >= upcoming then return { tonumber(queue[4]), {} } end
local entries = redis.call('XRANGE', events_key(id), entry(first), '+', 'COUNT', page)
if #entries == 0 or entries[1][1] ~= entry(first) then
  -- Evicted, or deleted by hand. A queue with a hole is none.
  drop(id, owner)
  return redis.error_reply('NOTFOUND no such queue')
end
local events = {}
for i, found in ipairs(entries) do
  events[2 * i - 1] = first + i - 1
  events[2 * i] = found[2][2]
end
return { tonumber(queue[4]), events }
