-- Tables that belong to no tenant. Each is closed first (app.wall_global) and then opened as far as it must be.
-- What is read before a tenant is known has no grant at all: its door is a function (…_doors).
--
-- A comment `pii:<category>` marks personal data: export, erasure and log masking read it from the catalogue.

CREATE TABLE plans (
    id uuid PRIMARY KEY,
    key text NOT NULL UNIQUE CHECK (key ~ '^[a-z][a-z0-9_]{1,39}$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    -- Read by app.tenant_create (seats, workspaces, apiKeys; absent = unlimited) and, typed, by the application.
    limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object' AND pg_column_size(limits) <= 4096),
    is_public boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT app.wall_global('plans');
CREATE POLICY global_read ON plans FOR SELECT TO tenantry_app, tenantry_platform USING (true);
GRANT SELECT ON plans TO tenantry_app, tenantry_platform;

CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE
        CONSTRAINT tenants_slug_form CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' AND slug !~ '^[a-z0-9]{2}--')
        CONSTRAINT tenants_slug_reserved CHECK (slug NOT IN (
            'admin', 'api', 'app', 'assets', 'auth', 'blog', 'cdn', 'console', 'dashboard', 'docs', 'graphiql', 'graphql',
            'help', 'internal', 'login', 'mail', 'metrics', 'platform', 'public', 'root', 'static', 'status', 'support',
            'system', 'tenantry', 'www')),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    status text NOT NULL DEFAULT 'provisioning'
        CHECK (status IN ('provisioning', 'active', 'suspended', 'read_only', 'deleting')),
    suspended_at timestamptz,
    suspended_reason text CHECK (char_length(suspended_reason) BETWEEN 1 AND 500),
    region text NOT NULL DEFAULT 'default' CHECK (region ~ '^[a-z0-9-]{1,40}$'),
    metadata jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT tenants_metadata_size CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 16384),
    plan_id uuid NOT NULL REFERENCES plans (id),
    subscription_state text NOT NULL DEFAULT 'none'
        CHECK (subscription_state IN ('none', 'trialing', 'active', 'past_due', 'cancelled')),
    trial_ends_at timestamptz,
    current_period_end timestamptz,
    deleted_at timestamptz,
    purge_after timestamptz,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenants_suspension CHECK (status <> 'suspended' OR suspended_at IS NOT NULL),
    CONSTRAINT tenants_deletion CHECK ((status = 'deleting') = (deleted_at IS NOT NULL) AND (purge_after IS NULL OR deleted_at IS NOT NULL))
);
CREATE INDEX tenants_created_at ON tenants (created_at DESC, id DESC);
CREATE INDEX tenants_plan ON tenants (plan_id);
SELECT app.wall_global('tenants');
DO $$
BEGIN
    EXECUTE format('CREATE POLICY tenant_app ON tenants FOR ALL TO tenantry_app USING (%s) WITH CHECK (%1$s)',
                   app.policy_expression('id'));
END
$$;
CREATE POLICY tenant_platform ON tenants FOR ALL TO tenantry_platform USING (true) WITH CHECK (true);
-- What a tenant may change about itself, and what only operators may. Nobody inserts (app.tenant_create) or deletes.
GRANT SELECT, UPDATE (name, slug, metadata, version, updated_at) ON tenants TO tenantry_app;
GRANT SELECT, UPDATE (name, slug, metadata, status, suspended_at, suspended_reason, plan_id, subscription_state,
                      trial_ends_at, current_period_end, deleted_at, purge_after, version, updated_at)
    ON tenants TO tenantry_platform;

CREATE TABLE slug_history (
    slug text PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    released_at timestamptz NOT NULL
);
CREATE INDEX slug_history_tenant ON slug_history (tenant_id);
COMMENT ON TABLE slug_history IS 'Slugs that were given up. They lead to their tenant, and nobody else gets them, for 90 days.';
SELECT app.wall_global('slug_history');

CREATE TABLE hostnames (
    hostname text PRIMARY KEY
        CHECK (hostname = lower(hostname) AND char_length(hostname) BETWEEN 1 AND 253
               AND hostname ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$'),
    tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('subdomain', 'custom')),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hostnames_tenant ON hostnames (tenant_id);
SELECT app.wall_global('hostnames');
CREATE POLICY global_platform ON hostnames FOR ALL TO tenantry_platform USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON hostnames TO tenantry_platform;

-- People

CREATE TABLE users (
    id uuid PRIMARY KEY,
    display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 120),
    avatar_file uuid,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'locked', 'erased')),
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$' AND char_length(locale) <= 35),
    time_zone text NOT NULL DEFAULT 'UTC' CHECK (char_length(time_zone) BETWEEN 1 AND 64),
    failed_attempts int NOT NULL DEFAULT 0 CHECK (failed_attempts >= 0),
    locked_until timestamptz,
    last_sign_in_at timestamptz,
    last_tenant_id uuid,
    erased_at timestamptz,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_erasure CHECK ((status = 'erased') = (erased_at IS NOT NULL))
);
COMMENT ON COLUMN users.display_name IS 'pii:name';
COMMENT ON COLUMN users.avatar_file IS 'pii:image';
COMMENT ON COLUMN users.locale IS 'pii:preference';
COMMENT ON COLUMN users.time_zone IS 'pii:preference';
COMMENT ON COLUMN users.last_sign_in_at IS 'pii:activity';
COMMENT ON COLUMN users.last_tenant_id IS 'pii:activity';
SELECT app.wall_global('users');
-- The policies for the runtime follow with `members`, which they ask. Only what a fellow member may see is granted;
-- a person's own further columns come from app.viewer().
GRANT SELECT (id, display_name, avatar_file, status, created_at, updated_at, version) ON users TO tenantry_app, tenantry_platform;
GRANT UPDATE (display_name, avatar_file, locale, time_zone, version, updated_at) ON users TO tenantry_app;

CREATE TABLE user_emails (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    email_norm text NOT NULL CHECK (char_length(email_norm) BETWEEN 3 AND 254 AND email_norm = lower(email_norm)),
    verified_at timestamptz,
    is_primary boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- Unverified duplicates are allowed, so nobody can squat an address.
CREATE UNIQUE INDEX user_emails_verified ON user_emails (email_norm) WHERE verified_at IS NOT NULL;
CREATE UNIQUE INDEX user_emails_primary ON user_emails (user_id) WHERE is_primary;
CREATE INDEX user_emails_user ON user_emails (user_id);
COMMENT ON COLUMN user_emails.email IS 'pii:email';
COMMENT ON COLUMN user_emails.email_norm IS 'pii:email';
SELECT app.wall_global('user_emails');
CREATE POLICY person_self ON user_emails FOR SELECT TO tenantry_app
    USING (user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));
CREATE POLICY global_platform ON user_emails FOR SELECT TO tenantry_platform USING (true);
GRANT SELECT ON user_emails TO tenantry_app, tenantry_platform;

CREATE TABLE user_passwords (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash text NOT NULL CHECK (hash LIKE '$argon2id$%' AND char_length(hash) <= 512),
    changed_at timestamptz NOT NULL,
    must_change boolean NOT NULL DEFAULT false
);
SELECT app.wall_global('user_passwords');

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    auth_level text NOT NULL DEFAULT 'password' CHECK (auth_level IN ('password', 'mfa', 'federated')),
    authenticated_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    idle_expires_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_reason text CHECK (char_length(revoked_reason) BETWEEN 1 AND 80),
    ip inet,
    user_agent text CHECK (char_length(user_agent) <= 512),
    -- Set while an operator acts as this person.
    actor_user_id uuid REFERENCES users (id),
    actor_reason text CHECK (char_length(actor_reason) BETWEEN 1 AND 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sessions_revocation CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL)),
    CONSTRAINT sessions_impersonation CHECK ((actor_user_id IS NULL) = (actor_reason IS NULL))
);
CREATE INDEX sessions_user ON sessions (user_id, created_at DESC);
CREATE INDEX sessions_actor ON sessions (actor_user_id) WHERE actor_user_id IS NOT NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at);
COMMENT ON COLUMN sessions.ip IS 'pii:ip';
COMMENT ON COLUMN sessions.user_agent IS 'pii:device';
SELECT app.wall_global('sessions');
CREATE POLICY person_self ON sessions FOR SELECT TO tenantry_app
    USING (user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));
GRANT SELECT ON sessions TO tenantry_app;

CREATE TABLE refresh_tokens (
    id uuid PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    rotated_to uuid REFERENCES refresh_tokens (id),
    used_at timestamptz,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_rotated_to ON refresh_tokens (rotated_to) WHERE rotated_to IS NOT NULL;
COMMENT ON TABLE refresh_tokens IS 'One family per session: a token used twice ends the session.';
SELECT app.wall_global('refresh_tokens');

-- Rights

CREATE TABLE permissions (
    name text PRIMARY KEY CHECK (name ~ '^[a-z_]+:[a-z_]+$'),
    level text NOT NULL CHECK (level IN ('tenant', 'workspace', 'platform')),
    description text NOT NULL CHECK (char_length(description) BETWEEN 1 AND 300),
    implied text[] NOT NULL DEFAULT '{}',
    since text NOT NULL DEFAULT '0.1.0'
);
SELECT app.wall_global('permissions');
CREATE POLICY global_read ON permissions FOR SELECT TO tenantry_app, tenantry_platform USING (true);
GRANT SELECT ON permissions TO tenantry_app, tenantry_platform;

CREATE TABLE builtin_roles (
    key text PRIMARY KEY CHECK (key ~ '^[a-z][a-z0-9_]{1,39}$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    description text NOT NULL CHECK (char_length(description) BETWEEN 1 AND 300),
    level text NOT NULL CHECK (level IN ('tenant', 'workspace')),
    position int NOT NULL UNIQUE
);
COMMENT ON TABLE builtin_roles IS 'The roles that app.tenant_create copies into every tenant.';
SELECT app.wall_global('builtin_roles');
CREATE POLICY global_read ON builtin_roles FOR SELECT TO tenantry_app, tenantry_platform USING (true);
GRANT SELECT ON builtin_roles TO tenantry_app, tenantry_platform;

CREATE TABLE builtin_role_permissions (
    role_key text NOT NULL REFERENCES builtin_roles (key) ON DELETE CASCADE,
    permission text NOT NULL REFERENCES permissions (name),
    PRIMARY KEY (role_key, permission)
);
CREATE INDEX builtin_role_permissions_permission ON builtin_role_permissions (permission);
SELECT app.wall_global('builtin_role_permissions');
CREATE POLICY global_read ON builtin_role_permissions FOR SELECT TO tenantry_app, tenantry_platform USING (true);
GRANT SELECT ON builtin_role_permissions TO tenantry_app, tenantry_platform;

-- Ways from a secret or a person to a tenant. They may not reference tenant tables (in a distributed database those live
-- elsewhere); `doctor` reports rows that lead nowhere.

CREATE TABLE api_key_index (
    key_hash bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    tenant_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    UNIQUE (tenant_id, api_key_id)
);
SELECT app.wall_global('api_key_index');

CREATE TABLE membership_index (
    user_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    member_id uuid NOT NULL,
    PRIMARY KEY (user_id, tenant_id)
);
COMMENT ON TABLE membership_index IS
    'Where a person is a member; kept by a trigger on members, so that app.memberships_of need not search every tenant.';
SELECT app.wall_global('membership_index');

-- The installation

CREATE TABLE signing_keys (
    kid text PRIMARY KEY CHECK (char_length(kid) BETWEEN 1 AND 80),
    alg text NOT NULL CHECK (alg IN ('EdDSA', 'ES256')),
    public_jwk jsonb NOT NULL CHECK (jsonb_typeof(public_jwk) = 'object'),
    private_enc bytea NOT NULL,
    not_before timestamptz NOT NULL,
    retire_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (retire_at > not_before)
);
COMMENT ON TABLE signing_keys IS 'Keys of the access tokens; private_enc is AES-256-GCM under TENANTRY_TOKEN_KEY.';
SELECT app.wall_global('signing_keys');

CREATE TABLE platform_audit (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor_user_id uuid,
    actor_label text NOT NULL CHECK (char_length(actor_label) BETWEEN 1 AND 120),
    action text NOT NULL CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$' AND char_length(action) <= 80),
    outcome text NOT NULL DEFAULT 'success' CHECK (outcome IN ('success', 'denied', 'error')),
    source text NOT NULL CHECK (source IN ('api', 'console', 'cli', 'job', 'scim', 'platform')),
    tenant_id uuid,
    reason text CHECK (char_length(reason) BETWEEN 1 AND 500),
    request_id uuid,
    detail jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(detail) = 'object' AND octet_length(detail::text) <= 16384)
);
CREATE INDEX platform_audit_at ON platform_audit (at DESC, id DESC);
CREATE INDEX platform_audit_tenant ON platform_audit (tenant_id, at DESC) WHERE tenant_id IS NOT NULL;
COMMENT ON COLUMN platform_audit.actor_label IS 'pii:name';
SELECT app.wall_global('platform_audit');
CREATE POLICY global_platform ON platform_audit FOR SELECT TO tenantry_platform USING (true);
GRANT SELECT ON platform_audit TO tenantry_platform;
