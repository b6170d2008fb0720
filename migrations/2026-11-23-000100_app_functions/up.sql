-- The walls around a table, as functions: our own migrations and the tables of users get them in the same way.

DO $$
BEGIN
    IF current_user <> 'tenantry_owner' THEN
        RAISE EXCEPTION 'migrations run as tenantry_owner, not as %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Use `tenantry migrate up`, which does SET ROLE tenantry_owner; with the diesel command line set PGOPTIONS="-c role=tenantry_owner".';
    END IF;
END
$$;

CREATE FUNCTION app.tenant_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;
COMMENT ON FUNCTION app.tenant_id() IS
    'The tenant of this transaction, or NULL. For defaults and triggers; a policy uses app.policy_expression().';

CREATE FUNCTION app.policy_expression(column_name text DEFAULT 'tenant_id') RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- The sub-select makes it an init plan, evaluated once per statement (30 ms against 284 ms on a full scan). Citus
    -- takes only the plain form.
    SELECT CASE
        WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
        THEN format('%I = nullif(current_setting(''app.tenant_id'', true), '''')::uuid', column_name)
        ELSE format('%I = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid)', column_name)
    END;
END;
COMMENT ON FUNCTION app.policy_expression(text) IS
    'The one text of a tenant policy. `doctor` knows its two forms and accepts no third.';

CREATE FUNCTION app.uuid_at(at timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (lpad(to_hex(floor(extract(epoch FROM (at - to_timestamp(0))) * 1000)::bigint), 12, '0')
            || '00000000000000000000')::uuid;
COMMENT ON FUNCTION app.uuid_at(timestamptz) IS
    'The smallest uuid whose UUIDv7 time is this instant: turns a time window into an id window.';

CREATE FUNCTION app.uuid_v7(at timestamptz) RETURNS uuid
    LANGUAGE sql VOLATILE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (left(app.uuid_at(at)::text, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid;
COMMENT ON FUNCTION app.uuid_v7(timestamptz) IS
    'A fresh UUIDv7 of this instant, for rows that SQL makes; the application makes its own.';

CREATE FUNCTION app.wall_partition(partition regclass) RETURNS void
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
COMMENT ON FUNCTION app.wall_partition(regclass) IS 'Makes a partition reachable through its parent only.';

CREATE FUNCTION app.wall_global(global regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', global);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', global);
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, tenantry_app, tenantry_platform', global);
    EXECUTE format('CREATE POLICY global_owner ON %s FOR ALL TO tenantry_owner USING (true) WITH CHECK (true)', global);
END
$$;
COMMENT ON FUNCTION app.wall_global(regclass) IS
    'Closes a global table for everybody but its owner; the migration then opens what is meant to be open.';

-- `relation` must be led by tenant_id. Called through app.enrol_table.
CREATE FUNCTION app.refuse_unfit(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    class pg_class := (SELECT c FROM pg_class c WHERE c.oid = relation);
    tenant pg_attribute;
    bad record;
BEGIN
    IF class.relispartition THEN
        RAISE EXCEPTION '% is a partition', relation
            USING ERRCODE = 'wrong_object_type', HINT = 'Enrol its parent; the partitions follow.';
    END IF;
    IF class.relkind NOT IN ('r', 'p') OR class.relpersistence = 't' THEN
        RAISE EXCEPTION '% is not an ordinary table', relation
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'Only tables can be enrolled. Give a view the option security_invoker = true instead.';
    END IF;

    SELECT * INTO tenant FROM pg_attribute
    WHERE attrelid = relation AND attname = 'tenant_id' AND attnum > 0 AND NOT attisdropped;
    IF tenant IS NULL THEN
        RAISE EXCEPTION '% has no column tenant_id', relation
            USING ERRCODE = 'undefined_column',
                  HINT = format('ALTER TABLE %s ADD COLUMN tenant_id uuid NOT NULL;', relation);
    ELSIF tenant.atttypid <> 'uuid'::regtype THEN
        RAISE EXCEPTION '%.tenant_id is of type %, not uuid', relation, format_type(tenant.atttypid, tenant.atttypmod)
            USING ERRCODE = 'datatype_mismatch',
                  HINT = format('ALTER TABLE %s ALTER COLUMN tenant_id TYPE uuid USING tenant_id::uuid;', relation);
    ELSIF NOT tenant.attnotnull THEN
        RAISE EXCEPTION '%.tenant_id may be NULL: such a row would belong to nobody', relation
            USING ERRCODE = 'not_null_violation',
                  HINT = format('ALTER TABLE %s ALTER COLUMN tenant_id SET NOT NULL;', relation);
    END IF;

    IF NOT EXISTS (SELECT FROM pg_index WHERE indrelid = relation AND indisprimary AND indkey[0] = tenant.attnum) THEN
        RAISE EXCEPTION 'the primary key of % does not begin with tenant_id', relation
            USING ERRCODE = 'invalid_table_definition',
                  HINT = format('ALTER TABLE %s %sADD PRIMARY KEY (tenant_id, id);', relation,
                                (SELECT format('DROP CONSTRAINT %I, ', conname) FROM pg_constraint
                                 WHERE conrelid = relation AND contype = 'p'));
    END IF;

    SELECT i.indexrelid::regclass AS name INTO bad FROM pg_index i
    WHERE i.indrelid = relation AND (i.indisunique OR i.indisexclusion)
      AND tenant.attnum <> ALL (i.indkey::smallint[]) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the unique index % of % does not contain tenant_id: one tenant could find out what another has',
                        bad.name, relation
            USING ERRCODE = 'invalid_table_definition', HINT = 'Begin it with tenant_id: UNIQUE (tenant_id, …).';
    END IF;

    SELECT c.conname AS name, c.confrelid::regclass AS target INTO bad
    FROM pg_constraint c
    JOIN pg_attribute t ON t.attrelid = c.confrelid AND t.attname = 'tenant_id' AND NOT t.attisdropped
    JOIN pg_index pk ON pk.indrelid = c.confrelid AND pk.indisprimary AND pk.indkey[0] = t.attnum
    WHERE c.conrelid = relation AND c.contype = 'f'
      AND NOT EXISTS (SELECT FROM unnest(c.conkey, c.confkey) AS k (here, there)
                      WHERE k.here = tenant.attnum AND k.there = t.attnum) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the foreign key % of % to % does not contain tenant_id: it could point into another tenant',
                        bad.name, relation, bad.target
            USING ERRCODE = 'invalid_foreign_key',
                  HINT = format('FOREIGN KEY (tenant_id, …) REFERENCES %s (tenant_id, …)', bad.target);
    END IF;

    SELECT a.attname AS name INTO bad FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attidentity <> '' OR EXISTS (
          SELECT FROM pg_attrdef d JOIN pg_depend on_sequence ON on_sequence.classid = 'pg_attrdef'::regclass
              AND on_sequence.objid = d.oid AND on_sequence.refclassid = 'pg_class'::regclass
          JOIN pg_class s ON s.oid = on_sequence.refobjid AND s.relkind = 'S'
          WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the column % of % is numbered by a sequence, which all tenants would share', bad.name, relation
            USING ERRCODE = 'invalid_table_definition',
                  HINT = format('Its numbers tell one tenant how busy the others are. Use a uuid: ALTER TABLE %s ALTER COLUMN %I …', relation, bad.name);
    END IF;

    SELECT polname AS name INTO bad FROM pg_policy
    WHERE polrelid = relation AND polpermissive AND polname NOT IN ('tenant_app', 'tenant_platform', 'tenant_owner') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the policy % of % would widen the tenant policy', bad.name, relation
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('DROP POLICY %1$I ON %2$s; or make it AS RESTRICTIVE.', bad.name, relation);
    END IF;
END
$$;
COMMENT ON FUNCTION app.refuse_unfit(regclass) IS 'Raises, with the cure, what keeps a table from being enrolled.';

CREATE FUNCTION app.enrol_table(table_name text, audit text DEFAULT 'none') RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
    SET client_min_messages = warning
AS $$
DECLARE
    relation regclass := to_regclass(table_name);
    login text;
    partition regclass;
    expression text := app.policy_expression();
BEGIN
    IF relation IS NULL THEN
        RAISE EXCEPTION 'there is no table %', table_name
            USING ERRCODE = 'undefined_table', HINT = 'Create it first; name its schema unless that is public.';
    END IF;
    IF audit NOT IN ('none', 'trigger') THEN
        RAISE EXCEPTION 'audit is %, expected none or trigger', quote_literal(audit) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM app.refuse_unfit(relation);

    IF (SELECT relowner FROM pg_class WHERE oid = relation) <> 'tenantry_owner'::regrole THEN
        EXECUTE format('ALTER TABLE %s OWNER TO tenantry_owner', relation);
    END IF;

    IF NOT EXISTS (SELECT FROM pg_constraint c
                   WHERE c.conrelid = relation AND c.contype = 'f' AND c.confrelid = 'public.tenants'::regclass
                     AND c.conkey = ARRAY[(SELECT attnum FROM pg_attribute
                                           WHERE attrelid = relation AND attname = 'tenant_id')]) THEN
        -- The primary key begins with tenant_id, so this foreign key needs no index of its own.
        EXECUTE format('ALTER TABLE %s ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id)', relation);
    END IF;

    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format('DROP POLICY IF EXISTS tenant_app ON %s', relation);
    EXECUTE format('DROP POLICY IF EXISTS tenant_platform ON %s', relation);
    EXECUTE format('DROP POLICY IF EXISTS tenant_owner ON %s', relation);
    -- An operator, too, works inside one tenant at a time.
    EXECUTE format('CREATE POLICY tenant_app ON %s FOR ALL TO tenantry_app USING (%s) WITH CHECK (%2$s)', relation, expression);
    EXECUTE format('CREATE POLICY tenant_platform ON %s FOR ALL TO tenantry_platform USING (%s) WITH CHECK (%2$s)', relation, expression);
    -- FORCE binds the owner: without a policy of its own, a migration would silently change no rows.
    EXECUTE format('CREATE POLICY tenant_owner ON %s FOR ALL TO tenantry_owner USING (true) WITH CHECK (true)', relation);

    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', relation);
    EXECUTE format('REVOKE TRUNCATE, REFERENCES, TRIGGER ON %s FROM tenantry_app, tenantry_platform', relation);
    FOREACH login IN ARRAY ARRAY['tenantry_app', 'tenantry_platform'] LOOP
        -- Grants that were made narrower stay narrower.
        IF NOT EXISTS (SELECT FROM pg_class, aclexplode(relacl) AS grants
                       WHERE pg_class.oid = relation AND grants.grantee = login::regrole) THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', relation, login);
        END IF;
    END LOOP;

    FOR partition IN SELECT relid FROM pg_partition_tree(relation) WHERE relid <> relation LOOP
        PERFORM app.wall_partition(partition);
    END LOOP;

    IF audit = 'trigger' THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER tenant_audit AFTER INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION app.audit_row()', relation);
    END IF;
END
$$;
COMMENT ON FUNCTION app.enrol_table(text, text) IS
    'Gives a table the walls of a tenant table; see docs/extending.md. Running it again changes nothing.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.tenant_id(), app.policy_expression(text), app.uuid_at(timestamptz), app.uuid_v7(timestamptz)
    TO tenantry_app, tenantry_platform;
