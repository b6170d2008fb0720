-- What the database keeps by itself, so that no path can forget it: counters, access versions, trees, locked roles,
-- slug history, audit of enrolled tables, partitions.
--
-- The trigger functions that write where the runtime may not are SECURITY DEFINER. They run AFTER the row was accepted
-- (policies have been checked) and touch nothing but rows of the row's own tenant. Within one transaction counters are
-- locked before access versions; whoever changes rights holds the tenant's rights lock (advisory), so no two wait for
-- each other.

-- Counters

CREATE FUNCTION app.count(tenant uuid, seats int, owners int, workspaces int, api_keys int) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF seats = 0 AND owners = 0 AND workspaces = 0 AND api_keys = 0 THEN
        RETURN;
    END IF;
    UPDATE tenant_counters c
    SET seats_used = c.seats_used + seats, owners = c.owners + count.owners,
        workspaces_used = c.workspaces_used + workspaces, api_keys_used = c.api_keys_used + api_keys, updated_at = now()
    WHERE c.tenant_id = tenant;
    IF NOT FOUND AND seats + count.owners + workspaces + api_keys > 0 THEN
        RAISE EXCEPTION 'tenant % has no row in tenant_counters', tenant
            USING ERRCODE = 'foreign_key_violation', HINT = 'Tenants are made by app.tenant_create.';
    END IF;
END
$$;

CREATE FUNCTION app.is_owner_role(tenant uuid, role uuid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM roles r WHERE r.tenant_id = tenant AND r.id = role AND r.key = 'owner' AND r.is_system);
END;

CREATE FUNCTION app.bump_access(tenant uuid) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, public, pg_temp
BEGIN ATOMIC
    UPDATE access_versions v SET version = v.version + 1, updated_at = now() WHERE v.tenant_id = tenant;
END;

CREATE FUNCTION app.on_member() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := coalesce(NEW.tenant_id, OLD.tenant_id);
    member uuid := coalesce(NEW.id, OLD.id);
    seats int := coalesce(NEW.status = 'active', false)::int - coalesce(OLD.status = 'active', false)::int;
    owners int := 0;
BEGIN
    IF seats <> 0 AND TG_OP = 'UPDATE' AND EXISTS (
        SELECT FROM role_grants g
        WHERE g.tenant_id = tenant AND g.member_id = member AND g.workspace_id IS NULL AND app.is_owner_role(tenant, g.role_id))
    THEN
        owners := seats;
    END IF;
    PERFORM app.count(tenant, seats, owners, 0, 0);

    IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR NEW.deleted_at IS NOT NULL OR NEW.user_id <> OLD.user_id) THEN
        DELETE FROM membership_index i WHERE i.user_id = OLD.user_id AND i.tenant_id = tenant AND i.member_id = member;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
        INSERT INTO membership_index (user_id, tenant_id, member_id) VALUES (NEW.user_id, tenant, member)
        ON CONFLICT (user_id, tenant_id) DO UPDATE SET member_id = excluded.member_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM app.bump_access(tenant);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER upkeep_insert_delete AFTER INSERT OR DELETE ON members FOR EACH ROW EXECUTE FUNCTION app.on_member();
CREATE TRIGGER upkeep_update AFTER UPDATE OF status, deleted_at, user_id ON members FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.user_id <> NEW.user_id)
    EXECUTE FUNCTION app.on_member();

CREATE FUNCTION app.on_role_grant() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    owners int := 0;
BEGIN
    IF TG_OP <> 'DELETE' AND app.is_owner_role(NEW.tenant_id, NEW.role_id) THEN
        IF NEW.expires_at IS NOT NULL OR NEW.workspace_id IS NOT NULL THEN
            RAISE EXCEPTION 'the owner role is granted for the whole tenant and without an end'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'role_grants_owner_is_unlimited', TABLE = 'role_grants';
        END IF;
        owners := (SELECT (m.status = 'active')::int FROM members m WHERE m.tenant_id = NEW.tenant_id AND m.id = NEW.member_id);
    END IF;
    IF TG_OP <> 'INSERT' AND app.is_owner_role(OLD.tenant_id, OLD.role_id) THEN
        owners := owners - (SELECT (m.status = 'active')::int FROM members m WHERE m.tenant_id = OLD.tenant_id AND m.id = OLD.member_id);
    END IF;
    PERFORM app.count(coalesce(NEW.tenant_id, OLD.tenant_id), 0, coalesce(owners, 0), 0, 0);
    RETURN NULL;
END
$$;
CREATE TRIGGER upkeep AFTER INSERT OR UPDATE OR DELETE ON role_grants FOR EACH ROW EXECUTE FUNCTION app.on_role_grant();

CREATE FUNCTION app.on_workspace() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := coalesce(NEW.tenant_id, OLD.tenant_id);
    depth int;
    height int;
BEGIN
    PERFORM app.count(tenant, 0, 0,
        (TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL)::int - (TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL)::int, 0);

    IF TG_OP <> 'DELETE' AND NEW.parent_workspace_id IS NOT NULL
       AND (TG_OP = 'INSERT' OR NEW.parent_workspace_id IS DISTINCT FROM OLD.parent_workspace_id) THEN
        -- One change of the tree at a time: two moves could make a circle together.
        PERFORM FROM access_versions v WHERE v.tenant_id = tenant FOR UPDATE;
        WITH RECURSIVE up (id, parent, level) AS (
            SELECT w.id, w.parent_workspace_id, 1 FROM workspaces w WHERE w.tenant_id = tenant AND w.id = NEW.id
            UNION ALL
            SELECT w.id, w.parent_workspace_id, up.level + 1
            FROM up JOIN workspaces w ON w.tenant_id = tenant AND w.id = up.parent WHERE up.level <= 6
        ) SELECT max(level) INTO depth FROM up;
        WITH RECURSIVE down (id, level) AS (
            SELECT NEW.id, 0
            UNION ALL
            SELECT w.id, down.level + 1
            FROM down JOIN workspaces w ON w.tenant_id = tenant AND w.parent_workspace_id = down.id WHERE down.level <= 6
        ) SELECT max(level) INTO height FROM down;
        -- A circle is a tree without end, so the depth finds it as well.
        IF depth + height > 5 THEN
            RAISE EXCEPTION 'workspaces may be nested five deep and not in a circle'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'workspaces_tree', TABLE = 'workspaces';
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' OR NEW.parent_workspace_id IS NOT NULL THEN
        PERFORM app.bump_access(tenant);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER upkeep_insert_delete AFTER INSERT OR DELETE ON workspaces FOR EACH ROW EXECUTE FUNCTION app.on_workspace();
CREATE TRIGGER upkeep_update AFTER UPDATE OF parent_workspace_id, visibility, deleted_at ON workspaces FOR EACH ROW
    WHEN (OLD.parent_workspace_id IS DISTINCT FROM NEW.parent_workspace_id OR OLD.visibility <> NEW.visibility
          OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at)
    EXECUTE FUNCTION app.on_workspace();

CREATE FUNCTION app.on_api_key() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- A key that is being replaced no longer counts, so that a tenant at its limit can still rotate: mark the old key
    -- (overlap_until), then insert the new one.
    PERFORM app.count(coalesce(NEW.tenant_id, OLD.tenant_id), 0, 0, 0,
        (TG_OP <> 'DELETE' AND NEW.revoked_at IS NULL AND NEW.overlap_until IS NULL)::int
        - (TG_OP <> 'INSERT' AND OLD.revoked_at IS NULL AND OLD.overlap_until IS NULL)::int);
    IF TG_OP <> 'INSERT' THEN
        PERFORM app.bump_access(OLD.tenant_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER upkeep_insert_delete AFTER INSERT OR DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION app.on_api_key();
CREATE TRIGGER upkeep_update AFTER UPDATE ON api_keys FOR EACH ROW
    WHEN ((OLD.revoked_at, OLD.overlap_until, OLD.expires_at, OLD.workspace_id, OLD.owner_member_id, OLD.allowed_cidrs)
          IS DISTINCT FROM (NEW.revoked_at, NEW.overlap_until, NEW.expires_at, NEW.workspace_id, NEW.owner_member_id, NEW.allowed_cidrs))
    EXECUTE FUNCTION app.on_api_key();

-- Access versions of the tables where a statement often touches many rows

CREATE FUNCTION app.on_rights() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM app.bump_access(tenant_id) FROM (SELECT DISTINCT tenant_id FROM changed ORDER BY tenant_id) AS tenants;
    RETURN NULL;
END
$$;
CREATE TRIGGER rights_insert AFTER INSERT ON roles REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_update AFTER UPDATE ON roles REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_delete AFTER DELETE ON roles REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_insert AFTER INSERT ON role_permissions REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_update AFTER UPDATE ON role_permissions REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_delete AFTER DELETE ON role_permissions REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_insert AFTER INSERT ON role_grants REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_update AFTER UPDATE ON role_grants REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_delete AFTER DELETE ON role_grants REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_insert AFTER INSERT ON workspace_members REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_delete AFTER DELETE ON workspace_members REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_update AFTER UPDATE ON api_key_scopes REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_delete AFTER DELETE ON api_key_scopes REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();

CREATE FUNCTION app.on_tenant_status() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM app.bump_access(NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER upkeep_status AFTER UPDATE OF status ON tenants FOR EACH ROW WHEN (OLD.status <> NEW.status)
    EXECUTE FUNCTION app.on_tenant_status();

-- Other processes hear of changed rights at once; without the notice they see them when their cache entry ends.
CREATE FUNCTION app.on_access_version() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('tenantry_access', NEW.tenant_id || ':' || NEW.version);
    RETURN NULL;
END
$$;
CREATE TRIGGER notify AFTER UPDATE ON access_versions FOR EACH ROW EXECUTE FUNCTION app.on_access_version();

-- Roles: no circle of heirs, and what came with the tenant stays as it is

CREATE FUNCTION app.on_role_heir() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM FROM access_versions v WHERE v.tenant_id = NEW.tenant_id FOR UPDATE;
    IF (WITH RECURSIVE up (parent, level) AS (
            SELECT NEW.inherits_role_id, 1
            UNION ALL
            SELECT r.inherits_role_id, up.level + 1
            FROM up JOIN roles r ON r.tenant_id = NEW.tenant_id AND r.id = up.parent WHERE up.level <= 10 AND r.inherits_role_id IS NOT NULL
        ) SELECT max(level) FROM up) > 10 THEN
        RAISE EXCEPTION 'roles may inherit ten deep and not in a circle'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'roles_tree', TABLE = 'roles';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER heir AFTER INSERT OR UPDATE OF inherits_role_id ON roles FOR EACH ROW WHEN (NEW.inherits_role_id IS NOT NULL)
    EXECUTE FUNCTION app.on_role_heir();

CREATE FUNCTION app.lock_system_role() RETURNS trigger
    LANGUAGE plpgsql -- as the caller: it is the caller's name that counts
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF current_user IN ('tenantry_app', 'tenantry_platform') AND (
        TG_TABLE_NAME = 'roles'
        OR EXISTS (SELECT FROM roles r WHERE r.tenant_id = coalesce(NEW.tenant_id, OLD.tenant_id) AND r.is_system
                   AND r.id IN ((to_jsonb(NEW) ->> 'role_id')::uuid, (to_jsonb(OLD) ->> 'role_id')::uuid)))
    THEN
        RAISE EXCEPTION 'a built-in role cannot be made, changed or deleted'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'roles_system_is_locked', TABLE = 'roles';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER locked_insert AFTER INSERT ON roles FOR EACH ROW WHEN (NEW.is_system) EXECUTE FUNCTION app.lock_system_role();
CREATE TRIGGER locked_update AFTER UPDATE ON roles FOR EACH ROW WHEN (OLD.is_system OR NEW.is_system) EXECUTE FUNCTION app.lock_system_role();
CREATE TRIGGER locked_delete AFTER DELETE ON roles FOR EACH ROW WHEN (OLD.is_system) EXECUTE FUNCTION app.lock_system_role();
CREATE TRIGGER locked AFTER INSERT OR UPDATE OR DELETE ON role_permissions FOR EACH ROW EXECUTE FUNCTION app.lock_system_role();

-- Slugs

CREATE FUNCTION app.on_tenant_slug() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM slug_history h WHERE h.slug = NEW.slug AND h.tenant_id <> NEW.id
               AND h.released_at > NEW.updated_at - interval '90 days') THEN
        RAISE EXCEPTION 'the slug % was released less than 90 days ago', NEW.slug
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'tenants_slug_key', TABLE = 'tenants';
    END IF;
    DELETE FROM slug_history h WHERE h.slug = NEW.slug;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO slug_history (slug, tenant_id, released_at) VALUES (OLD.slug, OLD.id, NEW.updated_at);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER upkeep_slug_insert AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION app.on_tenant_slug();
CREATE TRIGGER upkeep_slug_update AFTER UPDATE OF slug ON tenants FOR EACH ROW WHEN (OLD.slug <> NEW.slug) EXECUTE FUNCTION app.on_tenant_slug();

-- Audit of enrolled tables that have no service of ours

CREATE FUNCTION app.audit_row() RETURNS trigger
    LANGUAGE plpgsql -- as the caller: who may not write to the audit log of a tenant does not get to through this
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    name text := (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(TG_RELID), TG_RELID));
    uuid_form text := '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
    new_row jsonb := to_jsonb(NEW);
    old_row jsonb := to_jsonb(OLD);
    this_row jsonb := coalesce(new_row, old_row);
    columns jsonb;
    tenant uuid := (this_row ->> 'tenant_id')::uuid;
    actor uuid := nullif(current_setting('app.actor_id', true), '')::uuid;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        columns := (SELECT jsonb_agg(n.key ORDER BY n.key) FROM jsonb_each(new_row) AS n
                    WHERE n.value IS DISTINCT FROM old_row -> n.key);
        IF columns IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    -- Names of columns, never their contents: those may be personal data.
    INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, workspace_id, target_kind, target_id,
                            request_id, source, detail)
    VALUES (
        tenant, app.uuid_v7(clock_timestamp()), clock_timestamp(),
        'table_' || regexp_replace(lower(left(name, 60)), '[^a-z0-9_]', '_', 'g')
            || CASE TG_OP WHEN 'INSERT' THEN '.created' WHEN 'UPDATE' THEN '.updated' ELSE '.deleted' END,
        'success',
        CASE WHEN actor IS NULL THEN 'system'
             WHEN EXISTS (SELECT FROM members m WHERE m.tenant_id = tenant AND m.id = actor) THEN 'member'
             WHEN EXISTS (SELECT FROM api_keys k WHERE k.tenant_id = tenant AND k.id = actor) THEN 'api_key'
             ELSE 'user' END,
        actor,
        CASE WHEN this_row ->> 'workspace_id' ~ uuid_form THEN (this_row ->> 'workspace_id')::uuid END,
        left(name, 60),
        CASE WHEN this_row ->> 'id' ~ uuid_form THEN (this_row ->> 'id')::uuid END,
        nullif(current_setting('app.request_id', true), '')::uuid, 'api',
        CASE WHEN columns IS NULL THEN '{}' ELSE jsonb_build_object('columns', columns) END);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION app.audit_row() IS 'Row trigger of app.enrol_table(…, audit => ''trigger'').';
GRANT EXECUTE ON FUNCTION app.audit_row() TO tenantry_app, tenantry_platform;

-- Partitions

CREATE FUNCTION app.ensure_partitions(months int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    parent text;
    ahead int;
    starts timestamptz;
    ends timestamptz;
    name text;
    made int := 0;
BEGIN
    IF months IS NULL OR months NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months is %, expected 0 to 24', months USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('app.ensure_partitions', 0));
    FOREACH parent IN ARRAY ARRAY['audit_logs', 'events'] LOOP
        FOR ahead IN 0..months LOOP
            starts := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC';
            ends := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead + 1)) AT TIME ZONE 'UTC';
            name := format('%s_%s', parent, to_char(starts AT TIME ZONE 'UTC', '"y"YYYY"m"MM'));
            CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', name, parent);
            -- Rows that came before their partition wait in the default one.
            EXECUTE format('WITH early AS (DELETE FROM public.%1$I WHERE id >= %3$L AND id < %4$L RETURNING *) INSERT INTO public.%2$I SELECT * FROM early',
                           parent || '_default', name, app.uuid_at(starts), app.uuid_at(ends));
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                           parent, name, app.uuid_at(starts), app.uuid_at(ends));
            PERFORM app.wall_partition(format('public.%I', name)::regclass);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION app.ensure_partitions(int) IS
    'Makes the partitions of this month and of so many months ahead; returns how many were missing.';
GRANT EXECUTE ON FUNCTION app.ensure_partitions(int) TO tenantry_app, tenantry_platform;
SELECT app.ensure_partitions(3);
