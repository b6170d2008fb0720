-- Who can hold a role besides a member: a group, whose members hold it with it, and a service account, whose keys outlive
-- the people who made them. And private workspaces, which a role in the whole tenant does not open by itself.

CREATE TABLE groups (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 300),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX groups_name ON groups (tenant_id, lower(name));
CREATE INDEX groups_created_at ON groups (tenant_id, created_at DESC, id DESC);
SELECT app.enrol_table('groups');

CREATE TABLE group_members (
    tenant_id uuid NOT NULL,
    group_id uuid NOT NULL,
    member_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, group_id, member_id),
    FOREIGN KEY (tenant_id, group_id) REFERENCES groups (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id)
);
CREATE INDEX group_members_member ON group_members (tenant_id, member_id);
SELECT app.enrol_table('group_members');

CREATE TABLE service_accounts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 300),
    -- Whom to ask about it; NULL once that member is gone.
    owner_member_id uuid,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, owner_member_id) REFERENCES members (tenant_id, id)
);
CREATE UNIQUE INDEX service_accounts_name ON service_accounts (tenant_id, lower(name));
CREATE INDEX service_accounts_created_at ON service_accounts (tenant_id, created_at DESC, id DESC);
CREATE INDEX service_accounts_owner ON service_accounts (tenant_id, owner_member_id) WHERE owner_member_id IS NOT NULL;
SELECT app.enrol_table('service_accounts');

ALTER TABLE role_grants ALTER COLUMN member_id DROP NOT NULL;
ALTER TABLE role_grants ADD COLUMN group_id uuid, ADD COLUMN service_account_id uuid;
ALTER TABLE role_grants ADD CONSTRAINT role_grants_one_principal CHECK (num_nonnulls(member_id, group_id, service_account_id) = 1);
ALTER TABLE role_grants DROP CONSTRAINT role_grants_once;
ALTER TABLE role_grants ADD CONSTRAINT role_grants_once
    UNIQUE NULLS NOT DISTINCT (tenant_id, member_id, group_id, service_account_id, role_id, workspace_id);
ALTER TABLE role_grants ADD FOREIGN KEY (tenant_id, group_id) REFERENCES groups (tenant_id, id);
ALTER TABLE role_grants ADD FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id);
CREATE INDEX role_grants_group ON role_grants (tenant_id, group_id) WHERE group_id IS NOT NULL;
CREATE INDEX role_grants_service_account ON role_grants (tenant_id, service_account_id) WHERE service_account_id IS NOT NULL;
CREATE INDEX role_grants_created_at ON role_grants (tenant_id, created_at DESC, id DESC);

ALTER TABLE api_keys ALTER COLUMN owner_member_id DROP NOT NULL;
ALTER TABLE api_keys ADD COLUMN service_account_id uuid;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_one_owner CHECK (num_nonnulls(owner_member_id, service_account_id) = 1);
ALTER TABLE api_keys ADD FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id);
CREATE INDEX api_keys_service_account ON api_keys (tenant_id, service_account_id) WHERE service_account_id IS NOT NULL;

DROP TRIGGER upkeep_update ON api_keys;
CREATE TRIGGER upkeep_update AFTER UPDATE ON api_keys FOR EACH ROW
    WHEN ((OLD.revoked_at, OLD.overlap_until, OLD.expires_at, OLD.workspace_id, OLD.owner_member_id, OLD.service_account_id, OLD.allowed_cidrs)
          IS DISTINCT FROM (NEW.revoked_at, NEW.overlap_until, NEW.expires_at, NEW.workspace_id, NEW.owner_member_id, NEW.service_account_id, NEW.allowed_cidrs))
    EXECUTE FUNCTION app.on_api_key();

-- Only people own a tenant.
CREATE OR REPLACE FUNCTION app.on_role_grant() RETURNS trigger
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
        IF NEW.member_id IS NULL THEN
            RAISE EXCEPTION 'the owner role is granted to members only'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'role_grants_owner_is_a_member', TABLE = 'role_grants';
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

CREATE TRIGGER rights_insert AFTER INSERT ON group_members REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_delete AFTER DELETE ON group_members REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_update AFTER UPDATE ON service_accounts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();
CREATE TRIGGER rights_delete AFTER DELETE ON service_accounts REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION app.on_rights();

-- A new private workspace is closed to those whose rights were read before it was there.
CREATE FUNCTION app.on_private_workspace() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM app.bump_access(NEW.tenant_id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION app.on_private_workspace() FROM PUBLIC;
CREATE TRIGGER rights_private AFTER INSERT ON workspaces FOR EACH ROW
    WHEN (NEW.visibility = 'private' AND NEW.parent_workspace_id IS NULL) EXECUTE FUNCTION app.on_private_workspace();
CREATE INDEX workspaces_private ON workspaces (tenant_id, id) WHERE visibility = 'private';
