-- Which rights were used, who got and lost which, and tickets for downloads.

ALTER TABLE audit_logs ADD COLUMN used_permissions text[] NOT NULL DEFAULT '{}'
    CHECK (cardinality(used_permissions) <= 128);
COMMENT ON COLUMN audit_logs.used_permissions IS 'The rights that were asked for and held when it was done.';

CREATE TABLE access_changes (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    audit_id uuid NOT NULL,
    action text NOT NULL CHECK (char_length(action) BETWEEN 1 AND 120),
    subject_kind text NOT NULL CHECK (subject_kind IN ('member', 'group', 'service_account', 'api_key', 'role')),
    subject_id uuid NOT NULL,
    -- The group through which it concerns a member.
    group_id uuid,
    role_id uuid,
    -- NULL = in the whole tenant.
    workspace_id uuid,
    gained text[] NOT NULL DEFAULT '{}' CHECK (cardinality(gained) <= 128),
    lost text[] NOT NULL DEFAULT '{}' CHECK (cardinality(lost) <= 128),
    expires_at timestamptz,
    reason text CHECK (char_length(reason) BETWEEN 1 AND 500),
    actor_kind text NOT NULL CHECK (actor_kind IN ('member', 'user', 'api_key', 'service_account', 'operator', 'system', 'anonymous')),
    actor_id uuid,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX access_changes_subject ON access_changes (tenant_id, subject_id, id DESC);
CREATE INDEX access_changes_group ON access_changes (tenant_id, group_id, id DESC) WHERE group_id IS NOT NULL;
CREATE INDEX access_changes_role ON access_changes (tenant_id, role_id, id DESC) WHERE role_id IS NOT NULL;
CREATE INDEX access_changes_workspace ON access_changes (tenant_id, workspace_id, id DESC) WHERE workspace_id IS NOT NULL;
COMMENT ON TABLE access_changes IS
    'Append-only: who gained or lost which rights, one row for each subject of an audit entry. References nothing, so that it outlives what it tells of.';
SELECT app.enrol_table('access_changes');
REVOKE UPDATE, DELETE ON access_changes FROM tenantry_app, tenantry_platform;

CREATE TABLE export_tickets (
    tenant_id uuid NOT NULL,
    token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    kind text NOT NULL CHECK (kind IN ('access_review')),
    -- Who asked for it, as the principal's key: nobody else may fetch it.
    principal text NOT NULL CHECK (char_length(principal) BETWEEN 1 AND 120),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, token_hash)
);
CREATE INDEX export_tickets_expiry ON export_tickets (tenant_id, expires_at);
COMMENT ON TABLE export_tickets IS 'Downloads that were asked for and not fetched yet; fetching deletes the row, asking for another the expired ones.';
SELECT app.enrol_table('export_tickets');

-- Roles inherit ten deep at most, counted from the bottom: the rights are read that far and no further.
CREATE OR REPLACE FUNCTION app.on_role_heir() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    above int;
    below int;
BEGIN
    -- One change of the tree at a time: two could make a circle together.
    PERFORM FROM access_versions v WHERE v.tenant_id = NEW.tenant_id FOR UPDATE;
    WITH RECURSIVE up (parent, level) AS (
        SELECT NEW.inherits_role_id, 1
        UNION ALL
        SELECT r.inherits_role_id, up.level + 1
        FROM up JOIN roles r ON r.tenant_id = NEW.tenant_id AND r.id = up.parent WHERE up.level <= 10 AND r.inherits_role_id IS NOT NULL
    ) SELECT max(level) INTO above FROM up;
    WITH RECURSIVE down (id, level) AS (
        SELECT NEW.id, 0
        UNION ALL
        SELECT r.id, down.level + 1
        FROM down JOIN roles r ON r.tenant_id = NEW.tenant_id AND r.inherits_role_id = down.id AND r.deleted_at IS NULL
        WHERE down.level <= 10
    ) SELECT max(level) INTO below FROM down;
    -- A circle is a line without end, so its length finds it as well.
    IF above + below > 10 THEN
        RAISE EXCEPTION 'roles may inherit ten deep and not in a circle'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'roles_tree', TABLE = 'roles';
    END IF;
    RETURN NULL;
END
$$;
