DROP TRIGGER upkeep_names ON hostnames;
DROP TRIGGER upkeep_names ON tenants;
DROP FUNCTION app.on_tenant_names;
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_rate,
    DROP COLUMN rate_refill_per_second,
    DROP COLUMN rate_capacity;
DROP FUNCTION app.tenant_limits;
