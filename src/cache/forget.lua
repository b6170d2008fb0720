-- Ends every entry of a tenant. KEYS: the count of changes, the generation of the tenant. ARGV: how long a generation is
-- kept, in milliseconds: longer than any entry lives.
redis.call('INCR', KEYS[1])
redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
