-- An entry with how long it has to live, if nothing has changed in its tenant since it was stored; and how many changes
-- there have been, without which nothing may be stored. KEYS: the entry, the count of changes.
local changes = redis.call('GET', KEYS[2]) or '0'
local entry = redis.call('HMGET', KEYS[1], 'tenant', 'generation', 'value')
if entry[1] and entry[2] and entry[3] then
    local generation = redis.call('GET', 'tenantry:{' .. entry[1] .. '}:generation') or '0'
    local life = redis.call('PTTL', KEYS[1])
    if generation == entry[2] and life > 0 then
        return {changes, entry[3], life}
    end
end
return {changes}
