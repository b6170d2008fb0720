-- Servers keep what they know of a tenant until they hear of a change, so everything that it is read from announces its
-- changes: here what had been short-lived enough until now.

-- What a plan says about limits is part of what is known of its tenants.
CREATE FUNCTION app.on_plan() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('tenantry_tenants', '*');
    RETURN NULL;
END
$$;
CREATE TRIGGER notify AFTER UPDATE OF limits ON plans FOR EACH ROW
    WHEN (NEW.limits IS DISTINCT FROM OLD.limits) EXECUTE FUNCTION app.on_plan();

-- A host name that is another tenant's now, or nobody's.
CREATE FUNCTION app.on_hostname() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('tenantry_tenants', OLD.tenant_id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER notify AFTER UPDATE OR DELETE ON hostnames FOR EACH ROW EXECUTE FUNCTION app.on_hostname();

CREATE FUNCTION app.on_tenant_gone() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('tenantry_tenants', OLD.id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER notify_gone AFTER DELETE ON tenants FOR EACH ROW EXECUTE FUNCTION app.on_tenant_gone();
