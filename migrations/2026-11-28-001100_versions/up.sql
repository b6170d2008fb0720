-- What is known of rights holds as long as their version does: servers ask for it together with the tenant's state, and
-- need not read the rights again. So everything that rights are read from must raise it.

CREATE FUNCTION app.tenant_state(p_tenant_id uuid) RETURNS TABLE (limits jsonb, rights_version bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- Of the plan's limits these and no others: what else a plan holds is nobody's business before a tenant is known.
    RETURN QUERY SELECT jsonb_strip_nulls(jsonb_build_object(
               'ratePoints', p.limits -> 'ratePoints',
               'ratePointsPerSecond', p.limits -> 'ratePointsPerSecond',
               'concurrency', p.limits -> 'concurrency')), v.version
        FROM tenants t JOIN plans p ON p.id = t.plan_id JOIN access_versions v ON v.tenant_id = t.id
        WHERE t.id = p_tenant_id;
END
$$;
COMMENT ON FUNCTION app.tenant_state(uuid) IS
    'What the tenant''s plan says about the rate and the concurrency of requests, and the version of the tenant''s rights.';
REVOKE ALL ON FUNCTION app.tenant_state(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.tenant_state(uuid) TO tenantry_app, tenantry_platform;

CREATE TRIGGER rights_insert AFTER INSERT ON api_key_scopes REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();

CREATE FUNCTION app.on_api_key_rate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM app.bump_access(NEW.tenant_id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION app.on_api_key_rate() FROM PUBLIC;
CREATE TRIGGER rights_rate AFTER UPDATE OF rate_capacity, rate_refill_per_second ON api_keys FOR EACH ROW
    WHEN ((OLD.rate_capacity, OLD.rate_refill_per_second) IS DISTINCT FROM (NEW.rate_capacity, NEW.rate_refill_per_second))
    EXECUTE FUNCTION app.on_api_key_rate();
