-- 1,000 tenants with a few rows in every table, three of them with 1,500 tasks more, one with hundreds of
-- everything. No table has more than 30,000 rows: up to that, ANALYZE reads a table whole, so that plans do not
-- depend on a sample.
--
-- Without triggers and foreign keys, because the rows are right by construction.
SET session_replication_role = replica;
SET synchronous_commit = off;

-- kinds: 1 tenant, 2 user, 3 workspace, 4 member, 5 project, 6 task, 7 role, 8 grant, 9 key, 10 place, 11 group, 12 account
CREATE FUNCTION pg_temp.id(tenant int, kind int, number int) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN (lpad(to_hex(tenant), 8, '0') || '-' || lpad(to_hex(kind), 4, '0') || '-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid;
-- Of this moment: in the partition of this month.
CREATE FUNCTION pg_temp.new_id(tenant int, kind int, number int) RETURNS uuid LANGUAGE sql STABLE
    RETURN (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8'
            || lpad(to_hex(number), 3, '0') || lpad(to_hex(tenant), 12, '0'))::uuid;
CREATE FUNCTION pg_temp.up_to(tenant int, usually int) RETURNS SETOF int LANGUAGE sql IMMUTABLE
    RETURN generate_series(1, CASE tenant WHEN 2 THEN 700 ELSE usually END);
CREATE TEMP TABLE t AS
    SELECT n, pg_temp.id(n, 1, 0) AS id, timestamptz '2025-06-01 00:00Z' + n * interval '1 minute' AS at FROM generate_series(1, 1000) n;
ANALYZE t;

INSERT INTO tenants (id, slug, name, status, plan_id, created_at, updated_at)
SELECT t.id, 'seeded-' || n, 'Tenant ' || n, 'active', p.id, at, at FROM t, plans p WHERE p.key = 'enterprise';
INSERT INTO tenant_counters (tenant_id, seats_used, owners, owners_min, workspaces_used, api_keys_used) SELECT id, 8, 1, 1, 8, 3 FROM t;
INSERT INTO access_versions (tenant_id) SELECT id FROM t;
INSERT INTO feed_watches (tenant_id, until) SELECT id, at FROM t WHERE n % 10 = 0;
INSERT INTO roles (tenant_id, id, key, name, is_system, level, inherits_role_id, created_at, updated_at)
SELECT t.id, pg_temp.id(n, 7, i), 'role_' || i, 'Role ' || i, i <= 10, 'tenant', CASE WHEN i > 10 THEN pg_temp.id(n, 7, 3) END, at, at
FROM t, pg_temp.up_to(n, 12) i;
INSERT INTO role_permissions (tenant_id, role_id, permission)
SELECT t.id, pg_temp.id(n, 7, i), p.name FROM t, generate_series(1, 4) i, (SELECT name FROM permissions ORDER BY name LIMIT 7) p;
INSERT INTO tenant_settings (tenant_id, default_role_id) SELECT id, pg_temp.id(n, 7, 7) FROM t;

INSERT INTO users (id, display_name) SELECT pg_temp.id(t.n, 2, m), 'User ' || m || ' of ' || t.n FROM t, pg_temp.up_to(n, 8) m;
INSERT INTO user_emails (id, user_id, email, email_norm, verified_at, is_primary)
SELECT id, id, address, address, now(), true
FROM (SELECT pg_temp.id(t.n, 2, m), 'user-' || m || '@tenant-' || t.n || '.test' FROM t, pg_temp.up_to(n, 8) m) AS e (id, address);
INSERT INTO members (tenant_id, id, user_id, status, deleted_at, joined_at, invited_by_member_id, created_at, updated_at)
SELECT t.id, pg_temp.id(t.n, 4, m), pg_temp.id(t.n, 2, m), CASE m WHEN 7 THEN 'suspended' WHEN 8 THEN 'removed' ELSE 'active' END,
       CASE m WHEN 8 THEN c END, c, CASE WHEN m > 4 THEN pg_temp.id(t.n, 4, 1) END, c, c
FROM t, pg_temp.up_to(n, 8) m, LATERAL (SELECT at + m * interval '1 hour') AS x (c);
INSERT INTO membership_index (user_id, tenant_id, member_id) SELECT user_id, tenant_id, id FROM members WHERE deleted_at IS NULL;
INSERT INTO search_terms (tenant_id, kind, term, target_id)
SELECT tenant_id, 'member', left(md5(id::text || i), 3), id FROM members, generate_series(1, 3) i ON CONFLICT DO NOTHING;

-- A tree: 6, 7 and 8 stand below 2; one is private.
INSERT INTO workspaces (tenant_id, id, slug, name, is_default, parent_workspace_id, visibility, archived_at, created_at, updated_at)
SELECT t.id, pg_temp.id(t.n, 3, w), 'workspace-' || w, 'Workspace ' || w || ' of ' || t.n, w = 1, CASE WHEN w > 5 THEN pg_temp.id(t.n, 3, 2) END,
       CASE w WHEN 4 THEN 'private' ELSE 'tenant' END, CASE w WHEN 5 THEN at END, at + w * interval '1 minute', at
FROM t, pg_temp.up_to(n, 8) w;
INSERT INTO workspace_members (tenant_id, id, workspace_id, member_id, created_at)
SELECT t.id, pg_temp.id(t.n, 10, i), pg_temp.id(t.n, 3, CASE WHEN i <= 8 THEN 1 ELSE 2 + i % 4 END),
       pg_temp.id(t.n, 4, CASE WHEN i > 16 THEN i ELSE 1 + (i - 1) % 8 END),
       at + i * interval '1 minute'
FROM t, pg_temp.up_to(n, 16) i;
INSERT INTO groups (tenant_id, id, name, created_at) SELECT t.id, pg_temp.id(n, 11, g), 'Group ' || g, at + g * interval '1 minute' FROM t, pg_temp.up_to(n, 4) g;
INSERT INTO group_members (tenant_id, group_id, member_id, created_at)
SELECT t.id, pg_temp.id(n, 11, 1 + i % 4), pg_temp.id(n, 4, CASE WHEN i > 8 THEN i ELSE 1 + i % 8 END), at FROM t, pg_temp.up_to(n, 8) i;
INSERT INTO service_accounts (tenant_id, id, name, owner_member_id, created_at)
SELECT t.id, pg_temp.id(n, 12, a), 'Account ' || a, CASE a WHEN 1 THEN pg_temp.id(n, 4, 1) END, at + a * interval '1 minute' FROM t, pg_temp.up_to(n, 4) a;
-- Everybody has a role in the whole tenant and another in a workspace; a group and an account have one each.
INSERT INTO role_grants (tenant_id, id, member_id, group_id, service_account_id, role_id, workspace_id, expires_at, granted_by_member_id, created_at)
SELECT t.id, pg_temp.id(n, 8, i), CASE WHEN i <= 16 THEN pg_temp.id(n, 4, 1 + i % 8) WHEN i > 18 THEN pg_temp.id(n, 4, i) END, CASE i WHEN 17 THEN pg_temp.id(n, 11, 1) END,
       CASE i WHEN 18 THEN pg_temp.id(n, 12, 1) END, pg_temp.id(n, 7, CASE WHEN i <= 8 THEN 6 ELSE 1 + i % 12 END),
       CASE WHEN i > 8 THEN pg_temp.id(n, 3, 1 + i % 8) END, CASE i WHEN 9 THEN at END, CASE WHEN i > 12 THEN pg_temp.id(n, 4, 1) END,
       at + i * interval '1 minute'
FROM t, pg_temp.up_to(n, 18) i;

INSERT INTO projects (tenant_id, id, workspace_id, name, owner_member_id, created_at, updated_at)
SELECT t.id, pg_temp.id(t.n, 5, p), pg_temp.id(t.n, 3, 1 + p % 4), 'Project ' || p, CASE WHEN p > 4 THEN pg_temp.id(t.n, 4, 2) END, at + p * interval '1 minute', at
FROM t, pg_temp.up_to(n, 8) p;
-- Tenant by tenant in turn, as in life: the pages of the table hold rows of many tenants.
INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title, due_on, created_at, updated_at)
SELECT t.id, pg_temp.id(t.n, 6, i), pg_temp.id(t.n, 5, p), pg_temp.id(t.n, 3, 1 + p % 4), CASE WHEN i % 3 > 0 THEN pg_temp.id(t.n, 4, 1 + i % 8) END,
       'Task ' || i || ' of ' || t.n, CASE WHEN i % 2 = 0 THEN date '2026-01-01' + i END, c, c
FROM generate_series(1, 24) i, t, LATERAL (SELECT 1 + i % 8, timestamptz '2026-01-01 00:00Z' + i * interval '1 minute') AS x (p, c);
INSERT INTO tasks (tenant_id, id, project_id, workspace_id, title, created_at, updated_at)
SELECT t.id, pg_temp.id(t.n, 6, 1000 + i), pg_temp.id(t.n, 5, 4), pg_temp.id(t.n, 3, 1), 'Task ' || 1000 + i || ' of ' || t.n, c, c
FROM generate_series(1, 1500) i, t, LATERAL (SELECT timestamptz '2026-01-01 00:00Z' - i * interval '1 minute') AS x (c)
WHERE t.n % 400 = 1;

INSERT INTO api_keys (tenant_id, id, name, prefix, hint, owner_member_id, service_account_id, workspace_id, rotated_from_id, created_at)
SELECT t.id, pg_temp.id(t.n, 9, k), 'Key ' || k, 'tnk_live', 'abcd', CASE WHEN k < 6 THEN pg_temp.id(t.n, 4, k) END,
       CASE WHEN k >= 6 THEN pg_temp.id(t.n, 12, 1) END, CASE k WHEN 2 THEN pg_temp.id(t.n, 3, 1) END, CASE k WHEN 3 THEN pg_temp.id(t.n, 9, 1) END,
       at + k * interval '1 minute'
FROM t, pg_temp.up_to(n, 6) k;
INSERT INTO api_key_scopes (tenant_id, api_key_id, permission)
SELECT k.tenant_id, k.id, s FROM api_keys k, unnest(ARRAY['tasks:read', 'tasks:write', 'members:read']) AS s;

INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, workspace_id, target_kind, target_id, source, xact)
SELECT t.id, pg_temp.new_id(n, 1, i), now(), 'task.action_' || i % 5, 'success', 'member', pg_temp.id(n, 4, 1 + i % 8), pg_temp.id(n, 3, 1 + i % 4), 'task',
       pg_temp.id(n, 6, i), 'api', n * 24 + i
FROM t, pg_temp.up_to(n, 24) i;
INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, actor_id, audit_id, occurred_at, xact)
SELECT tenant_id, id, 'task.created', '2026-11', workspace_id, target_id, '{}', actor_kind, actor_id, id, at, xact FROM audit_logs;
INSERT INTO access_changes (tenant_id, id, at, audit_id, action, subject_kind, subject_id, group_id, role_id, workspace_id, actor_kind)
SELECT t.id, pg_temp.new_id(n, 2, i), now(), pg_temp.new_id(n, 1, i), 'role_grant.create', 'member', pg_temp.id(n, 4, 1 + i % 8),
       CASE WHEN i > 12 THEN pg_temp.id(n, 11, 1) END, pg_temp.id(n, 7, 1 + i % 12), CASE WHEN i % 2 = 0 THEN pg_temp.id(n, 3, 1 + i % 4) END, 'member'
FROM t, pg_temp.up_to(n, 16) i;
INSERT INTO idempotency_keys (tenant_id, principal, key, request_hash, created_at, expires_at)
SELECT t.id, 'user', 'key ' || i, sha256(i::text::bytea), at + i * interval '1 minute', at + interval '1 day' + i * interval '1 minute' FROM t, pg_temp.up_to(n, 6) i;
INSERT INTO export_tickets (tenant_id, token_hash, kind, principal, expires_at, created_at)
SELECT t.id, sha256((n || '.' || i)::bytea), 'access_review', 'user', at + i * interval '1 minute', at FROM t, pg_temp.up_to(n, 4) i;
INSERT INTO ownership_transfers (tenant_id, id, from_member_id, to_member_id, state, expires_at, resolved_at, created_at, updated_at)
SELECT t.id, pg_temp.new_id(n, 3, i), pg_temp.id(n, 4, 1), pg_temp.id(n, 4, 1 + i), CASE i WHEN 1 THEN 'pending' ELSE 'cancelled' END, at + interval '7 days',
       CASE WHEN i > 1 THEN at END, at, at
FROM t, generate_series(1, 4) i;

SET session_replication_role = origin;
