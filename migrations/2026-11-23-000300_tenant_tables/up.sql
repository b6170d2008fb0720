-- Tables of the tenants. Each is led by tenant_id in its primary key, its indexes and its references, and gets its walls
-- from app.enrol_table: the same call that anybody uses for a table of their own.
--
-- References between them are NO ACTION unless the child is a part of the parent: a service clears an optional reference
-- in the same transaction, because a distributed database takes no SET NULL on a key that holds the tenant.

CREATE TABLE tenant_counters (
    tenant_id uuid PRIMARY KEY,
    seats_used int NOT NULL DEFAULT 0 CHECK (seats_used >= 0),
    seats_limit int CHECK (seats_limit >= 0),
    owners int NOT NULL DEFAULT 0 CHECK (owners >= 0),
    -- 1 from the moment the tenant is complete.
    owners_min int NOT NULL DEFAULT 0 CHECK (owners_min IN (0, 1)),
    workspaces_used int NOT NULL DEFAULT 0 CHECK (workspaces_used >= 0),
    workspaces_limit int CHECK (workspaces_limit >= 0),
    api_keys_used int NOT NULL DEFAULT 0 CHECK (api_keys_used >= 0),
    api_keys_limit int CHECK (api_keys_limit >= 0),
    -- The plan was lowered below the use: limits stand at the use until it shrinks.
    is_over_limit boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenant_counters_seats CHECK (seats_used <= seats_limit),
    CONSTRAINT tenant_counters_owners CHECK (owners >= owners_min),
    CONSTRAINT tenant_counters_workspaces CHECK (workspaces_used <= workspaces_limit),
    CONSTRAINT tenant_counters_api_keys CHECK (api_keys_used <= api_keys_limit)
);
COMMENT ON TABLE tenant_counters IS
    'What is counted against a limit (NULL = none). Kept by triggers; a constraint refuses the one too many, also in a race.';
SELECT app.enrol_table('tenant_counters');
REVOKE INSERT, UPDATE, DELETE ON tenant_counters FROM tenantry_app, tenantry_platform;
GRANT UPDATE (seats_limit, workspaces_limit, api_keys_limit, is_over_limit, updated_at) ON tenant_counters TO tenantry_platform;

CREATE TABLE access_versions (
    tenant_id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE access_versions IS
    'Grows with every change of rights (triggers), in the same transaction; the cache key of every resolved set of rights.';
SELECT app.enrol_table('access_versions');
REVOKE INSERT, UPDATE, DELETE ON access_versions FROM tenantry_app, tenantry_platform;

CREATE TABLE roles (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL CHECK (key ~ '^[a-z][a-z0-9_]{1,39}$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 300),
    is_system boolean NOT NULL DEFAULT false,
    level text NOT NULL CHECK (level IN ('tenant', 'workspace')),
    inherits_role_id uuid,
    version int NOT NULL DEFAULT 1,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, inherits_role_id) REFERENCES roles (tenant_id, id),
    CONSTRAINT roles_not_their_own_heir CHECK (inherits_role_id <> id)
);
CREATE UNIQUE INDEX roles_key ON roles (tenant_id, key) WHERE deleted_at IS NULL;
CREATE INDEX roles_created_at ON roles (tenant_id, created_at DESC, id DESC);
CREATE INDEX roles_name ON roles (tenant_id, name, id);
CREATE INDEX roles_inherits ON roles (tenant_id, inherits_role_id) WHERE inherits_role_id IS NOT NULL;
SELECT app.enrol_table('roles');

CREATE TABLE role_permissions (
    tenant_id uuid NOT NULL,
    role_id uuid NOT NULL,
    permission text NOT NULL REFERENCES permissions (name),
    effect text NOT NULL DEFAULT 'allow' CHECK (effect IN ('allow', 'deny')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, role_id, permission),
    FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX role_permissions_permission ON role_permissions (tenant_id, permission);
SELECT app.enrol_table('role_permissions');

CREATE TABLE tenant_settings (
    tenant_id uuid PRIMARY KEY,
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$' AND char_length(locale) <= 35),
    time_zone text NOT NULL DEFAULT 'UTC' CHECK (char_length(time_zone) BETWEEN 1 AND 64),
    session_max_seconds int NOT NULL DEFAULT 2592000 CHECK (session_max_seconds BETWEEN 300 AND 31536000),
    mfa_policy text NOT NULL DEFAULT 'off' CHECK (mfa_policy IN ('off', 'admins', 'all')),
    allowed_email_domains text[] NOT NULL DEFAULT '{}' CHECK (cardinality(allowed_email_domains) <= 100),
    default_role_id uuid,
    invite_expiry_seconds int NOT NULL DEFAULT 604800 CHECK (invite_expiry_seconds BETWEEN 3600 AND 7776000),
    ip_allowlist cidr[] NOT NULL DEFAULT '{}' CHECK (cardinality(ip_allowlist) <= 200),
    data_retention jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(data_retention) = 'object' AND octet_length(data_retention::text) <= 16384),
    privacy jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(privacy) = 'object' AND octet_length(privacy::text) <= 16384),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, default_role_id) REFERENCES roles (tenant_id, id)
);
SELECT app.enrol_table('tenant_settings');

CREATE TABLE members (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'removed')),
    display_name_override text CHECK (char_length(display_name_override) BETWEEN 1 AND 120),
    joined_at timestamptz NOT NULL,
    invited_by_member_id uuid,
    last_seen_at timestamptz,
    scim_external_id text CHECK (char_length(scim_external_id) BETWEEN 1 AND 255),
    version int NOT NULL DEFAULT 1,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invited_by_member_id) REFERENCES members (tenant_id, id),
    CONSTRAINT members_removal CHECK ((status = 'removed') = (deleted_at IS NOT NULL))
);
CREATE UNIQUE INDEX members_user ON members (tenant_id, user_id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX members_scim ON members (tenant_id, scim_external_id) WHERE scim_external_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX members_created_at ON members (tenant_id, created_at DESC, id DESC);
CREATE INDEX members_status ON members (tenant_id, status, created_at DESC, id DESC);
CREATE INDEX members_invited_by ON members (tenant_id, invited_by_member_id) WHERE invited_by_member_id IS NOT NULL;
COMMENT ON COLUMN members.display_name_override IS 'pii:name';
COMMENT ON COLUMN members.last_seen_at IS 'pii:activity';
COMMENT ON COLUMN members.scim_external_id IS 'pii:identifier';
SELECT app.enrol_table('members');

CREATE TABLE workspaces (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 2000),
    is_default boolean NOT NULL DEFAULT false,
    parent_workspace_id uuid,
    visibility text NOT NULL DEFAULT 'tenant' CHECK (visibility IN ('tenant', 'private')),
    archived_at timestamptz,
    settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object' AND octet_length(settings::text) <= 16384),
    version int NOT NULL DEFAULT 1,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, parent_workspace_id) REFERENCES workspaces (tenant_id, id),
    CONSTRAINT workspaces_not_their_own_parent CHECK (parent_workspace_id <> id),
    CONSTRAINT workspaces_default_is_open CHECK (NOT is_default OR (archived_at IS NULL AND deleted_at IS NULL))
);
CREATE UNIQUE INDEX workspaces_slug ON workspaces (tenant_id, slug) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX workspaces_default ON workspaces (tenant_id) WHERE is_default;
CREATE INDEX workspaces_created_at ON workspaces (tenant_id, created_at DESC, id DESC);
CREATE INDEX workspaces_name ON workspaces (tenant_id, name, id);
CREATE INDEX workspaces_parent ON workspaces (tenant_id, parent_workspace_id) WHERE parent_workspace_id IS NOT NULL;
SELECT app.enrol_table('workspaces');

CREATE TABLE workspace_members (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    member_id uuid NOT NULL,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, workspace_id, member_id),
    FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id)
);
CREATE INDEX workspace_members_member ON workspace_members (tenant_id, member_id);
CREATE INDEX workspace_members_created_at ON workspace_members (tenant_id, workspace_id, created_at, id);
SELECT app.enrol_table('workspace_members');

CREATE TABLE role_grants (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    member_id uuid NOT NULL,
    role_id uuid NOT NULL,
    -- NULL = in the whole tenant.
    workspace_id uuid,
    expires_at timestamptz,
    granted_by_member_id uuid,
    reason text CHECK (char_length(reason) BETWEEN 1 AND 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT role_grants_once UNIQUE NULLS NOT DISTINCT (tenant_id, member_id, role_id, workspace_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id),
    FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id),
    FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    FOREIGN KEY (tenant_id, granted_by_member_id) REFERENCES members (tenant_id, id)
);
CREATE INDEX role_grants_role ON role_grants (tenant_id, role_id);
CREATE INDEX role_grants_workspace ON role_grants (tenant_id, workspace_id) WHERE workspace_id IS NOT NULL;
CREATE INDEX role_grants_granted_by ON role_grants (tenant_id, granted_by_member_id) WHERE granted_by_member_id IS NOT NULL;
SELECT app.enrol_table('role_grants');

-- Who a user is, is seen by that user and by the tenants that have them as a member.
DO $$
BEGIN
    EXECUTE format($policy$
        CREATE POLICY person_or_fellow ON users FOR SELECT TO tenantry_app USING (
            id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)
            OR EXISTS (SELECT FROM members m WHERE m.%s AND m.user_id = users.id AND m.deleted_at IS NULL))
        $policy$, app.policy_expression());
END
$$;
-- Of a fellow's addresses only the one that mail goes to; `person_self` shows a person all of their own.
DO $$
BEGIN
    EXECUTE format($policy$
        CREATE POLICY fellow_address ON user_emails FOR SELECT TO tenantry_app USING (
            is_primary AND verified_at IS NOT NULL
            AND EXISTS (SELECT FROM members m WHERE m.%s AND m.user_id = user_emails.user_id AND m.deleted_at IS NULL))
        $policy$, app.policy_expression());
END
$$;
CREATE POLICY person_self ON users FOR UPDATE TO tenantry_app
    USING (id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid))
    WITH CHECK (id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));
CREATE POLICY global_platform ON users FOR SELECT TO tenantry_platform USING (true);

-- The sample domain that shows the pattern: projects in a workspace, tasks in a project.

CREATE TABLE projects (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 10000),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'archived')),
    owner_member_id uuid,
    archived_at timestamptz,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    -- What `tasks` refers to, so that a task stands in the workspace of its project.
    UNIQUE (tenant_id, id, workspace_id),
    FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    FOREIGN KEY (tenant_id, owner_member_id) REFERENCES members (tenant_id, id),
    CONSTRAINT projects_archive CHECK ((state = 'archived') = (archived_at IS NOT NULL))
);
CREATE INDEX projects_created_at ON projects (tenant_id, created_at DESC, id DESC);
CREATE INDEX projects_name ON projects (tenant_id, name, id);
CREATE INDEX projects_workspace_created_at ON projects (tenant_id, workspace_id, created_at DESC, id DESC);
CREATE INDEX projects_workspace_name ON projects (tenant_id, workspace_id, name, id);
CREATE INDEX projects_owner ON projects (tenant_id, owner_member_id) WHERE owner_member_id IS NOT NULL;
SELECT app.enrol_table('projects');

CREATE TABLE tasks (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 10000),
    state text NOT NULL DEFAULT 'todo' CHECK (state IN ('todo', 'in_progress', 'done', 'cancelled')),
    points int CHECK (points BETWEEN 0 AND 100),
    due_on date CHECK (due_on BETWEEN '1970-01-01' AND '9999-12-30'),
    -- Tasks without a due date come last, with a plain row comparison as the key of the page.
    due_sort date NOT NULL GENERATED ALWAYS AS (coalesce(due_on, '9999-12-31'::date)) STORED,
    assignee_member_id uuid,
    completed_at timestamptz,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    -- Three columns: a task stands in the workspace of its project, which therefore stays in its workspace.
    FOREIGN KEY (tenant_id, project_id, workspace_id) REFERENCES projects (tenant_id, id, workspace_id),
    FOREIGN KEY (tenant_id, assignee_member_id) REFERENCES members (tenant_id, id),
    CONSTRAINT tasks_completion CHECK ((state = 'done') = (completed_at IS NOT NULL))
);
CREATE INDEX tasks_created_at ON tasks (tenant_id, created_at DESC, id DESC);
CREATE INDEX tasks_due ON tasks (tenant_id, due_sort, id);
CREATE INDEX tasks_workspace_created_at ON tasks (tenant_id, workspace_id, created_at DESC, id DESC);
CREATE INDEX tasks_workspace_due ON tasks (tenant_id, workspace_id, due_sort, id);
CREATE INDEX tasks_workspace_title ON tasks (tenant_id, workspace_id, title, id);
CREATE INDEX tasks_project_created_at ON tasks (tenant_id, project_id, created_at DESC, id DESC);
CREATE INDEX tasks_project_due ON tasks (tenant_id, project_id, due_sort, id);
CREATE INDEX tasks_assignee_created_at ON tasks (tenant_id, assignee_member_id, created_at DESC, id DESC)
    WHERE assignee_member_id IS NOT NULL;
CREATE INDEX tasks_assignee_due ON tasks (tenant_id, assignee_member_id, due_sort, id) WHERE assignee_member_id IS NOT NULL;
SELECT app.enrol_table('tasks');

-- Keys of integrators

CREATE TABLE api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    prefix text NOT NULL CHECK (prefix ~ '^tnk_[a-z]{2,8}$'),
    hint text NOT NULL CHECK (char_length(hint) = 4),
    owner_member_id uuid NOT NULL,
    -- NULL = in the whole tenant.
    workspace_id uuid,
    allowed_cidrs cidr[] NOT NULL DEFAULT '{}' CHECK (cardinality(allowed_cidrs) <= 50),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    revoked_reason text CHECK (char_length(revoked_reason) BETWEEN 1 AND 120),
    rotated_from_id uuid,
    -- Set when another key takes over: until then both work.
    overlap_until timestamptz,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, owner_member_id) REFERENCES members (tenant_id, id),
    FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    FOREIGN KEY (tenant_id, rotated_from_id) REFERENCES api_keys (tenant_id, id),
    CONSTRAINT api_keys_revocation CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
CREATE INDEX api_keys_created_at ON api_keys (tenant_id, created_at DESC, id DESC);
CREATE INDEX api_keys_owner ON api_keys (tenant_id, owner_member_id);
CREATE INDEX api_keys_workspace ON api_keys (tenant_id, workspace_id) WHERE workspace_id IS NOT NULL;
CREATE INDEX api_keys_rotated_from ON api_keys (tenant_id, rotated_from_id) WHERE rotated_from_id IS NOT NULL;
COMMENT ON TABLE api_keys IS 'Never the secret: its hash stands in api_key_index, written by app.api_key_index_add in the same transaction.';
SELECT app.enrol_table('api_keys');

CREATE TABLE api_key_scopes (
    tenant_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    permission text NOT NULL REFERENCES permissions (name),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, api_key_id, permission),
    FOREIGN KEY (tenant_id, api_key_id) REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX api_key_scopes_permission ON api_key_scopes (tenant_id, permission);
SELECT app.enrol_table('api_key_scopes');

-- What happened. Partitioned by the time inside the UUIDv7 (app.uuid_at): a time window is an id window.

CREATE TABLE audit_logs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    action text NOT NULL CHECK (action ~ '^[a-z_][a-z0-9_]*(\.[a-z0-9_]+)+$' AND char_length(action) <= 120),
    outcome text NOT NULL CHECK (outcome IN ('success', 'denied', 'error')),
    actor_kind text NOT NULL CHECK (actor_kind IN ('member', 'user', 'api_key', 'service_account', 'operator', 'system', 'anonymous')),
    actor_id uuid,
    impersonator_user_id uuid,
    subject_kind text CHECK (char_length(subject_kind) BETWEEN 1 AND 60),
    subject_id uuid,
    workspace_id uuid,
    target_kind text CHECK (char_length(target_kind) BETWEEN 1 AND 60),
    target_id uuid,
    request_id uuid,
    operation_name text CHECK (char_length(operation_name) BETWEEN 1 AND 200),
    source text NOT NULL CHECK (source IN ('api', 'console', 'cli', 'job', 'scim', 'platform')),
    detail jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(detail) = 'object' AND octet_length(detail::text) <= 16384),
    pii_commit bytea CHECK (octet_length(pii_commit) = 32),
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX audit_logs_actor ON audit_logs (tenant_id, actor_id, id DESC);
CREATE INDEX audit_logs_target ON audit_logs (tenant_id, target_id, id DESC) WHERE target_id IS NOT NULL;
CREATE INDEX audit_logs_action ON audit_logs (tenant_id, action, id DESC);
CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;
COMMENT ON TABLE audit_logs IS 'Append-only. Holds ids, never personal data. References nothing, so that it outlives what it tells of.';
SELECT app.enrol_table('audit_logs');
REVOKE UPDATE, DELETE ON audit_logs FROM tenantry_app, tenantry_platform;

CREATE TABLE events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL CHECK (type ~ '^[a-z_]+(\.[a-z_]+)+$' AND char_length(type) <= 120),
    api_version text NOT NULL CHECK (char_length(api_version) BETWEEN 1 AND 20),
    workspace_id uuid,
    subject_id uuid,
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object' AND octet_length(payload::text) <= 65536),
    actor_kind text NOT NULL CHECK (actor_kind IN ('member', 'user', 'api_key', 'service_account', 'operator', 'system', 'anonymous')),
    actor_id uuid,
    audit_id uuid,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE TABLE events_default PARTITION OF events DEFAULT;
COMMENT ON TABLE events IS 'Outgoing events, written with the change they tell of. audit_id has no foreign key: audit partitions are dropped on their own schedule.';
SELECT app.enrol_table('events');
REVOKE UPDATE, DELETE ON events FROM tenantry_app, tenantry_platform;

CREATE TABLE idempotency_keys (
    tenant_id uuid NOT NULL,
    principal text NOT NULL CHECK (char_length(principal) BETWEEN 1 AND 120),
    key text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    -- Ids and user errors of the payload, never secrets; NULL while the first request runs.
    response jsonb CHECK (octet_length(response::text) <= 65536),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, principal, key),
    CHECK (expires_at > created_at)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (tenant_id, expires_at);
SELECT app.enrol_table('idempotency_keys');
