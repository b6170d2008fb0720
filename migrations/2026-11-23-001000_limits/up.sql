-- Limits: what a plan says about them is found together with the tenant, and a key may have a smaller bucket of its own.

CREATE FUNCTION app.tenant_limits(p_tenant_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- These and no others: what else a plan holds is nobody's business before a tenant is known.
    RETURN coalesce(
        (SELECT jsonb_strip_nulls(jsonb_build_object(
                    'ratePoints', p.limits -> 'ratePoints',
                    'ratePointsPerSecond', p.limits -> 'ratePointsPerSecond',
                    'concurrency', p.limits -> 'concurrency'))
         FROM tenants t JOIN plans p ON p.id = t.plan_id WHERE t.id = p_tenant_id),
        '{}');
END
$$;
COMMENT ON FUNCTION app.tenant_limits(uuid) IS 'What the tenant''s plan says about the rate and the concurrency of requests.';
REVOKE ALL ON FUNCTION app.tenant_limits(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.tenant_limits(uuid) TO tenantry_app, tenantry_platform;

ALTER TABLE api_keys
    ADD COLUMN rate_capacity int CHECK (rate_capacity BETWEEN 1 AND 1000000000),
    ADD COLUMN rate_refill_per_second int CHECK (rate_refill_per_second BETWEEN 1 AND 1000000000),
    ADD CONSTRAINT api_keys_rate CHECK ((rate_capacity IS NULL) = (rate_refill_per_second IS NULL));

-- What a request finds its tenant by is cached like rights: who changes it, ends the entries of all processes.

CREATE FUNCTION app.on_tenant_names() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'tenants' THEN
        PERFORM app.bump_access(NEW.id);
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM app.bump_access(OLD.tenant_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM app.bump_access(NEW.tenant_id);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION app.on_tenant_names() FROM PUBLIC;
CREATE TRIGGER upkeep_names AFTER UPDATE OF slug, plan_id ON tenants FOR EACH ROW
    WHEN (OLD.slug <> NEW.slug OR OLD.plan_id <> NEW.plan_id) EXECUTE FUNCTION app.on_tenant_names();
CREATE TRIGGER upkeep_names AFTER INSERT OR UPDATE OR DELETE ON hostnames FOR EACH ROW EXECUTE FUNCTION app.on_tenant_names();
