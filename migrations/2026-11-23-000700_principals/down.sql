-- Loses the groups and service accounts with their grants and keys.
DROP TRIGGER rights_private ON workspaces;
DROP FUNCTION app.on_private_workspace();
DROP INDEX workspaces_private;
DELETE FROM role_grants WHERE member_id IS NULL;
DELETE FROM api_key_index i USING api_keys k
WHERE k.tenant_id = i.tenant_id AND k.id = i.api_key_id AND k.service_account_id IS NOT NULL;
UPDATE api_keys k SET rotated_from_id = NULL FROM api_keys old
WHERE old.tenant_id = k.tenant_id AND old.id = k.rotated_from_id AND old.service_account_id IS NOT NULL;
DELETE FROM api_keys WHERE service_account_id IS NOT NULL;

DROP TRIGGER upkeep_update ON api_keys;
ALTER TABLE api_keys DROP CONSTRAINT api_keys_one_owner;
ALTER TABLE api_keys DROP COLUMN service_account_id;
ALTER TABLE api_keys ALTER COLUMN owner_member_id SET NOT NULL;
CREATE TRIGGER upkeep_update AFTER UPDATE ON api_keys FOR EACH ROW
    WHEN ((OLD.revoked_at, OLD.overlap_until, OLD.expires_at, OLD.workspace_id, OLD.owner_member_id, OLD.allowed_cidrs)
          IS DISTINCT FROM (NEW.revoked_at, NEW.overlap_until, NEW.expires_at, NEW.workspace_id, NEW.owner_member_id, NEW.allowed_cidrs))
    EXECUTE FUNCTION app.on_api_key();

ALTER TABLE role_grants DROP CONSTRAINT role_grants_once;
ALTER TABLE role_grants DROP CONSTRAINT role_grants_one_principal;
ALTER TABLE role_grants DROP COLUMN group_id, DROP COLUMN service_account_id;
ALTER TABLE role_grants ALTER COLUMN member_id SET NOT NULL;
ALTER TABLE role_grants ADD CONSTRAINT role_grants_once UNIQUE NULLS NOT DISTINCT (tenant_id, member_id, role_id, workspace_id);
DROP INDEX role_grants_created_at;
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
        owners := (SELECT (m.status = 'active')::int FROM members m WHERE m.tenant_id = NEW.tenant_id AND m.id = NEW.member_id);
    END IF;
    IF TG_OP <> 'INSERT' AND app.is_owner_role(OLD.tenant_id, OLD.role_id) THEN
        owners := owners - (SELECT (m.status = 'active')::int FROM members m WHERE m.tenant_id = OLD.tenant_id AND m.id = OLD.member_id);
    END IF;
    PERFORM app.count(coalesce(NEW.tenant_id, OLD.tenant_id), 0, coalesce(owners, 0), 0, 0);
    RETURN NULL;
END
$$;
DROP TABLE service_accounts;
DROP TABLE group_members;
DROP TABLE groups;
