-- Takes from every bucket, or from none if one has too little: one atomic step for all buckets of a request.
-- KEYS: the buckets. ARGV: for each its size, what flows in within a second, what is to be taken; in millionths of a point.
-- The answer: 1 or 0, then what is in each bucket. The time is Redis' own, so that clocks of servers do not matter.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, levels = {1}, {}
for i, key in ipairs(KEYS) do
    local size, refill, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local stored = redis.call('HMGET', key, 'level', 'at')
    local level, at = tonumber(stored[1] or ''), tonumber(stored[2] or '')
    if not level or not at then
        level = size
    else
        level = level + math.floor(math.max(now - at, 0) * refill / 1000000)
        level = math.max(math.min(level, size), 0)
    end
    if level < cost then
        answer[1] = 0
    end
    levels[i] = level
end
for i, key in ipairs(KEYS) do
    if answer[1] == 1 then
        local size, refill = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
        levels[i] = levels[i] - tonumber(ARGV[3 * i])
        redis.call('HSET', key, 'level', string.format('%.0f', levels[i]), 'at', string.format('%.0f', now))
        -- A bucket that is full again is as good as none.
        redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((size - levels[i]) * 1000 / refill) + 1000))
    end
    answer[i + 1] = levels[i]
end
return answer
