-- Ends polls: the idle time of a queue counts from the end of the last poll on it, on whatever server. What a poll left
-- behind whose server died counts until it would have ended by itself.
--
-- ARGV id, token, id, token, …

for i = 1, #ARGV, 2 do
  local id, token = ARGV[i], 'poll:' .. ARGV[i + 1]
  local key = queue_key(id)
  if redis.call('HDEL', key, token) == 1 then
    local fields, now, elsewhere = redis.call('HGETALL', key), now_ms(), false
    local idle
    for j = 1, #fields, 2 do
      local name, value = fields[j], tonumber(fields[j + 1])
      if name == 'idle' then idle = value end
      if name:sub(1, 5) == 'poll:' and value >= now then elsewhere = true end
    end
    if not elsewhere then keep(id, idle) end
  end
end
return redis.status_reply('OK')
