-- Roles, logins, and who owns what. Runs more than once without harm, in two situations:
--
--   1. as a superuser (the private cluster of `tenantry dev`, the tests): makes the roles and sets them up;
--   2. as tenantry_migrate, where a DBA has made the roles and a database owned by tenantry_owner
--      (migrations/README.md has the statements): makes what is left.
--
-- Roles belong to the whole cluster, so another database may have made them already. Every later migration runs as
-- tenantry_owner.

DO $$
DECLARE
    privileged boolean := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
    wanted record;
    missing text;
BEGIN
    IF privileged THEN
        FOR wanted IN
            SELECT * FROM (VALUES
                ('tenantry_owner', 'NOLOGIN'),
                ('tenantry_migrate', 'LOGIN'),
                ('tenantry_app', 'LOGIN'),
                ('tenantry_platform', 'LOGIN')) AS r (name, attributes)
        LOOP
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
                    EXECUTE format('CREATE ROLE %I %s NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE INHERIT',
                                   wanted.name, wanted.attributes);
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this cluster was migrated at the same moment
            END;
        END LOOP;
        IF NOT EXISTS (SELECT FROM pg_auth_members
                       WHERE roleid = 'tenantry_owner'::regrole AND member = 'tenantry_migrate'::regrole) THEN
            GRANT tenantry_owner TO tenantry_migrate;
        END IF;
    END IF;

    SELECT string_agg(name, ', ') INTO missing
    FROM unnest(ARRAY['tenantry_owner', 'tenantry_migrate', 'tenantry_app', 'tenantry_platform']) AS name
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'these roles do not exist: %', missing
            USING ERRCODE = 'undefined_object',
                  HINT = 'Migrate once as a superuser, or let a DBA run the statements in migrations/README.md.';
    END IF;
    IF NOT pg_has_role(current_user, 'tenantry_owner', 'MEMBER') THEN
        RAISE EXCEPTION 'the login % may not act as tenantry_owner', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Migrate as tenantry_migrate, or GRANT tenantry_owner TO ' || quote_ident(current_user) || '.';
    END IF;
END
$$;

-- How each login behaves. Written only where it differs: two databases changing one role at the same moment collide.
DO $$
DECLARE
    setting record;
BEGIN
    IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    FOR setting IN
        SELECT * FROM (VALUES
            -- A request's statement ends before the request does (10 s).
            ('tenantry_app', 'statement_timeout', '5s'),
            ('tenantry_app', 'idle_in_transaction_session_timeout', '15s'),
            ('tenantry_app', 'lock_timeout', '4s'),
            ('tenantry_platform', 'statement_timeout', '30s'),
            ('tenantry_platform', 'idle_in_transaction_session_timeout', '60s'),
            -- A migration that waits for a lock makes everybody behind it wait: give up soon, try again later.
            ('tenantry_migrate', 'lock_timeout', '5s'),
            ('tenantry_migrate', 'idle_in_transaction_session_timeout', '10min'),
            -- Statements here take milliseconds; compiling one takes longer.
            ('tenantry_app', 'jit', 'off'),
            ('tenantry_platform', 'jit', 'off'),
            -- Starting a worker takes longer too, and one tenant's request would take several cores.
            ('tenantry_app', 'max_parallel_workers_per_gather', '0'),
            -- A text holds only the conditions that are asked for: one plan is right for all values (docs/adr/0017).
            ('tenantry_app', 'plan_cache_mode', 'force_generic_plan'),
            ('tenantry_app', 'timezone', 'UTC'),
            ('tenantry_platform', 'timezone', 'UTC'),
            ('tenantry_migrate', 'timezone', 'UTC'),
            -- pg_temp last: a temporary table must not stand in for one of ours.
            ('tenantry_app', 'search_path', 'public, pg_temp'),
            ('tenantry_platform', 'search_path', 'public, pg_temp'),
            ('tenantry_migrate', 'search_path', 'public, pg_temp')) AS s (role, name, value)
        WHERE NOT EXISTS (
            SELECT FROM pg_db_role_setting
            WHERE setdatabase = 0 AND setrole = s.role::regrole AND EXISTS (
                SELECT FROM unnest(setconfig) AS line WHERE lower(split_part(line, '=', 1)) = s.name))
    LOOP
        -- search_path is a list of names, every other value one literal.
        EXECUTE format('ALTER ROLE %I SET %I = ', setting.role, setting.name)
            || CASE setting.name WHEN 'search_path' THEN setting.value ELSE quote_literal(setting.value) END;
    END LOOP;
END
$$;

-- What is in the database belongs to tenantry_owner; PUBLIC may nothing.
DO $$
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('ALTER DATABASE %I OWNER TO tenantry_owner', current_database());
    END IF;
    IF NOT (SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
        RAISE EXCEPTION 'the database % does not belong to tenantry_owner', current_database()
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('As its owner: ALTER DATABASE %I OWNER TO tenantry_owner;', current_database());
    END IF;
    IF (SELECT nspowner <> 'tenantry_owner'::regrole FROM pg_namespace WHERE nspname = 'public') THEN
        ALTER SCHEMA public OWNER TO tenantry_owner;
    END IF;
    IF (SELECT relowner <> 'tenantry_owner'::regrole FROM pg_class
        WHERE oid = to_regclass('public.__diesel_schema_migrations')) THEN
        ALTER TABLE public.__diesel_schema_migrations OWNER TO tenantry_owner;
    END IF;
END
$$;

SET LOCAL ROLE tenantry_owner;

CREATE SCHEMA IF NOT EXISTS app;
COMMENT ON SCHEMA app IS 'Functions of Tenantry; tables live in public.';

REVOKE ALL ON SCHEMA public, app FROM PUBLIC;
GRANT USAGE ON SCHEMA public, app TO tenantry_app, tenantry_platform;
ALTER DEFAULT PRIVILEGES FOR ROLE tenantry_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

DO $$
BEGIN
    -- Readiness asks which migrations have run.
    IF to_regclass('public.__diesel_schema_migrations') IS NOT NULL THEN
        GRANT SELECT ON public.__diesel_schema_migrations TO tenantry_app, tenantry_platform;
    END IF;
    -- No temporary tables for the runtime logins: they have no use for them.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO tenantry_app, tenantry_platform, tenantry_migrate', current_database());
END
$$;
