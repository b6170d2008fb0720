-- Plans are made for tenants that are large (docs/adr/0024-plans-for-large-tenants.md): whatever the statistics say,
-- PostgreSQL takes a tenant to have a hundredth of each table.
CREATE FUNCTION app.expect_large_tenants(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ALTER COLUMN tenant_id SET (n_distinct = 100, n_distinct_inherited = 100)', relation);
END
$$;
COMMENT ON FUNCTION app.expect_large_tenants(regclass) IS
    'Lets plans take a tenant to have a hundredth of the table, from the next ANALYZE on.';

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
    PERFORM app.expect_large_tenants(partition);
END
$$;

ALTER FUNCTION app.enrol_table(text, text) RENAME TO wall_table;
COMMENT ON FUNCTION app.wall_table(text, text) IS 'Gives a table the walls of a tenant table. Called through app.enrol_table.';
CREATE FUNCTION app.enrol_table(table_name text, audit text DEFAULT 'none') RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM app.wall_table(table_name, audit);
    PERFORM app.expect_large_tenants(table_name::regclass);
END
$$;
COMMENT ON FUNCTION app.enrol_table(text, text) IS
    'Gives a table the walls of a tenant table, and plans for large tenants; see docs/extending.md. Running it again changes nothing.';
REVOKE ALL ON FUNCTION app.expect_large_tenants(regclass), app.enrol_table(text, text) FROM PUBLIC;

DO $$
DECLARE
    class record;
BEGIN
    FOR class IN SELECT c.oid::regclass AS relation, c.relkind = 'r' AND c.reltuples > 0 AS has_statistics
                 FROM pg_class c
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                 JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'tenant_owner'
                 WHERE c.relkind IN ('r', 'p') LOOP
        PERFORM app.expect_large_tenants(class.relation);
        -- Nothing else would analyse a table that hardly changes any more.
        IF class.has_statistics THEN
            EXECUTE format('ANALYZE %s', class.relation);
        END IF;
    END LOOP;
END
$$;
