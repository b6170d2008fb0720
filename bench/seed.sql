-- The data of one database: :tenants tenants, each with 20 members in 5 workspaces, 40 grants, 200 tasks and an API key.
-- Run by a superuser, right after the migrations. Ids and contents are those that data.py computes.
--
-- Without triggers and foreign keys, because the rows are right by construction; so what the triggers keep (counters,
-- membership_index, api_key_index) is written here as well. search_terms stays empty: no request of the bench searches.
\set ON_ERROR_STOP 1
SET synchronous_commit = off;
SET session_replication_role = replica;
SET work_mem = '64MB';

CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO tenantry_app;
-- kinds: 1 tenant, 2 user, 3 workspace, 4 member, 5 project, 6 task, 7 role, 8 grant, 9 key
CREATE FUNCTION bench.id(tenant int, kind int, number int) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex(tenant), 8, '0') || '-' || lpad(to_hex(kind), 4, '0') || '-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid;

-- The hashes of the keys: pgbench has no other way to know them.
CREATE TABLE bench.keys (tenant int PRIMARY KEY, hash bytea NOT NULL, hint text NOT NULL);
\copy bench.keys (tenant, hash, hint) FROM pstdin
GRANT SELECT ON bench.keys TO tenantry_app;

CREATE TEMP TABLE t AS
    SELECT n, bench.id(n, 1, 0) AS id, timestamptz '2025-06-01 00:00Z' + n * interval '1 minute' AS at FROM bench.keys k (n);
ANALYZE t;

INSERT INTO tenants (id, slug, name, status, plan_id, created_at, updated_at)
SELECT t.id, 'tenant-' || n, 'Tenant ' || n, 'active', p.id, at, at FROM t, plans p WHERE p.key = 'enterprise';
INSERT INTO tenant_counters (tenant_id, seats_used, owners, owners_min, workspaces_used, api_keys_used)
SELECT id, 20, 1, 1, 5, 1 FROM t;
INSERT INTO access_versions (tenant_id) SELECT id FROM t;
INSERT INTO roles (tenant_id, id, key, name, description, is_system, level, created_at, updated_at)
SELECT t.id, bench.id(n, 7, b.position), b.key, b.name, b.description, true, b.level, at, at FROM t, builtin_roles b;
INSERT INTO role_permissions (tenant_id, role_id, permission)
SELECT t.id, bench.id(n, 7, b.position), p.permission
FROM t, builtin_roles b JOIN builtin_role_permissions p ON p.role_key = b.key;
INSERT INTO tenant_settings (tenant_id, default_role_id) SELECT id, bench.id(n, 7, 7) FROM t;

-- People: 50 who own tenants and sign in, and 19 further ones in each tenant.
INSERT INTO users (id, display_name) SELECT bench.id(0, 2, p), 'Person ' || p FROM generate_series(0, 49) p;
INSERT INTO users (id, display_name) SELECT bench.id(t.n, 2, m), 'User ' || m || ' of ' || t.n FROM t, generate_series(2, 20) m;
INSERT INTO user_emails (id, user_id, email, email_norm, verified_at, is_primary)
SELECT id, id, address, address, now(), true
FROM (SELECT bench.id(0, 2, p), 'person-' || p || '@bench.test' FROM generate_series(0, 49) p
      UNION ALL
      SELECT bench.id(t.n, 2, m), 'user-' || m || '@tenant-' || t.n || '.test' FROM t, generate_series(2, 20) m) AS e (id, address);
INSERT INTO members (tenant_id, id, user_id, joined_at, created_at, updated_at)
SELECT t.id, bench.id(t.n, 4, m), CASE m WHEN 1 THEN bench.id(0, 2, t.n % 50) ELSE bench.id(t.n, 2, m) END, c, c, c
FROM t, generate_series(1, 20) m, LATERAL (SELECT at + m * interval '1 hour') AS x (c);
INSERT INTO membership_index (user_id, tenant_id, member_id) SELECT user_id, tenant_id, id FROM members;

INSERT INTO workspaces (tenant_id, id, slug, name, is_default, created_at, updated_at)
SELECT t.id, bench.id(t.n, 3, w), 'workspace-' || w, 'Workspace ' || w || ' of ' || t.n, w = 1, at, at FROM t, generate_series(1, 5) w;
-- Everybody belongs to workspace 1 and to one other.
INSERT INTO workspace_members (tenant_id, id, workspace_id, member_id, created_at)
SELECT t.id, bench.id(t.n, 10, i), bench.id(t.n, 3, CASE WHEN i <= 20 THEN 1 ELSE 2 + i % 4 END), bench.id(t.n, 4, 1 + (i - 1) % 20),
       at + i * interval '1 minute'
FROM t, generate_series(1, 40) i;
-- Everybody has a role in the whole tenant and edits one workspace.
INSERT INTO role_grants (tenant_id, id, member_id, role_id, workspace_id, created_at)
SELECT t.id, bench.id(t.n, 8, i), bench.id(t.n, 4, m),
       bench.id(t.n, 7, CASE WHEN i > 20 THEN 10 WHEN m = 1 THEN 1 ELSE 7 END),
       CASE WHEN i > 20 THEN bench.id(t.n, 3, 1 + m % 5) END, at + i * interval '1 minute'
FROM t, generate_series(1, 40) i, LATERAL (SELECT 1 + (i - 1) % 20) AS x (m);

INSERT INTO projects (tenant_id, id, workspace_id, name, created_at, updated_at)
SELECT t.id, bench.id(t.n, 5, w), bench.id(t.n, 3, w), 'Project ' || w, at, at FROM t, generate_series(1, 5) w;

-- Tasks arrive tenant by tenant in turn, as in life: the pages of the table hold rows of many tenants. The indexes are
-- made afterwards, which takes a third of the time.
CREATE TEMP TABLE index_of_tasks AS
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index
    WHERE indrelid = 'tasks'::regclass AND NOT indisprimary AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid);
SELECT 'DROP INDEX ' || name FROM index_of_tasks \gexec
INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title, description, created_at, updated_at)
SELECT t.id, bench.id(t.n, 6, i), bench.id(t.n, 5, w), bench.id(t.n, 3, w), bench.id(t.n, 4, 1 + i % 20),
       'Task ' || i || ' of ' || t.n, 'Lorem ipsum dolor sit amet.', c, c
FROM generate_series(1, 200) i, t, LATERAL (SELECT CASE WHEN i <= 120 THEN 1 ELSE 2 + i % 4 END) AS y (w),
     LATERAL (SELECT timestamptz '2026-01-01 00:00Z' + i * interval '1 minute') AS x (c);
-- The long lists: 9,900 older tasks in workspace 1 of every hundredth tenant, in up to a hundred of them.
INSERT INTO tasks (tenant_id, id, project_id, workspace_id, title, created_at, updated_at)
SELECT t.id, bench.id(t.n, 6, 1000 + i), bench.id(t.n, 5, 1), bench.id(t.n, 3, 1), 'Task ' || 1000 + i || ' of ' || t.n, c, c
FROM generate_series(1, 9900) i, t, LATERAL (SELECT timestamptz '2026-01-01 00:00Z' - i * interval '1 minute') AS x (c)
WHERE t.n % 100 = 1 AND t.n < 10000;
SELECT made FROM index_of_tasks \gexec

INSERT INTO api_keys (tenant_id, id, name, prefix, hint, owner_member_id, created_at, updated_at)
SELECT t.id, bench.id(t.n, 9, 1), 'Bench', 'tnk_live', k.hint, bench.id(t.n, 4, 1), at, at FROM t JOIN bench.keys k ON k.tenant = t.n;
INSERT INTO api_key_scopes (tenant_id, api_key_id, permission)
SELECT t.id, bench.id(t.n, 9, 1), s FROM t, unnest(ARRAY['tenant:read', 'members:read', 'roles:read', 'workspaces:read', 'projects:read',
                                                        'tasks:read', 'tasks:write']) AS s;
INSERT INTO api_key_index (key_hash, tenant_id, api_key_id)
SELECT k.hash, t.id, bench.id(t.n, 9, 1) FROM t JOIN bench.keys k ON k.tenant = t.n;

-- The unit of work of q4 for PostGraphile, which has no other way to write three rows in one transaction.
CREATE FUNCTION bench.task_create(project_id uuid, assignee_member_id uuid, title text) RETURNS public.tasks
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := app.tenant_id();
    made public.tasks;
    audit uuid := app.uuid_v7(now());
BEGIN
    INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title)
    SELECT tenant, app.uuid_v7(now()), p.id, p.workspace_id, task_create.assignee_member_id, task_create.title
    FROM projects p WHERE p.tenant_id = tenant AND p.id = task_create.project_id RETURNING * INTO made;
    INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, workspace_id, target_kind, target_id, source)
    VALUES (tenant, audit, now(), 'task.create', 'success', 'member', task_create.assignee_member_id, made.workspace_id, 'task', made.id, 'api');
    INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, actor_id, audit_id, occurred_at)
    VALUES (tenant, app.uuid_v7(now()), 'task.created', '2026-11', made.workspace_id, made.id,
            jsonb_build_object('taskId', made.id, 'projectId', made.project_id, 'version', made.version), 'member',
            task_create.assignee_member_id, audit, now());
    RETURN made;
END
$$;
GRANT EXECUTE ON FUNCTION bench.task_create(uuid, uuid, text) TO tenantry_app;

SET session_replication_role = origin;
VACUUM (ANALYZE);
CHECKPOINT;
