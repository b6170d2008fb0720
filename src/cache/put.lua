-- Stores an entry, unless anything has changed since it was looked for: what was read before a change is never stored
-- after it. KEYS: the entry, the count of changes, the generation of its tenant. ARGV: the changes seen, the tenant, the
-- value, its life in milliseconds.
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'tenant', ARGV[2], 'generation', redis.call('GET', KEYS[3]) or '0', 'value', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
