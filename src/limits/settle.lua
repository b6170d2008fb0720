-- Puts back what was taken and not used. KEYS: the buckets. ARGV: for each its size, what flows in within a second, what
-- is put back; in millionths of a point. A bucket that is not there is full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
    local size, refill, back = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local stored = redis.call('HMGET', key, 'level', 'at')
    local level, at = tonumber(stored[1] or ''), tonumber(stored[2] or '')
    if level and at then
        level = math.min(level + math.floor(math.max(now - at, 0) * refill / 1000000) + back, size)
        redis.call('HSET', key, 'level', string.format('%.0f', level), 'at', string.format('%.0f', now))
        redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((size - level) * 1000 / refill) + 1000))
    end
end
return 1
