DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT a.attrelid FROM pg_attribute a JOIN pg_policy p ON p.polrelid = a.attrelid AND p.polname = 'tenant_owner'
                    WHERE a.attname = 'tenant_id' AND a.attoptions @> '{n_distinct=100, n_distinct_inherited=100}' LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN tenant_id RESET (n_distinct, n_distinct_inherited)', relation);
    END LOOP;
END
$$;

DROP FUNCTION app.enrol_table(text, text);
ALTER FUNCTION app.wall_table(text, text) RENAME TO enrol_table;
COMMENT ON FUNCTION app.enrol_table(text, text) IS
    'Gives a table the walls of a tenant table; see docs/extending.md. Running it again changes nothing.';

CREATE OR REPLACE FUNCTION app.wall_partition(partition regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF (SELECT relowner FROM pg_class WHERE oid = partition) <> 'tenantry_owner'::regrole THEN
        EXECUTE format('ALTER TABLE %s OWNER TO tenantry_owner', partition);
    END IF;
    -- Whoever may read a partition directly goes past the policies of its parent. So nobody may.
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', partition);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, tenantry_app, tenantry_platform', partition);
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = partition AND polname = 'tenant_owner') THEN
        EXECUTE format('CREATE POLICY tenant_owner ON %s FOR ALL TO tenantry_owner USING (true) WITH CHECK (true)', partition);
    END IF;
END
$$;
DROP FUNCTION app.expect_large_tenants(regclass);
