DROP TABLE export_tickets, access_changes;
ALTER TABLE audit_logs DROP COLUMN used_permissions;

CREATE OR REPLACE FUNCTION app.on_role_heir() RETURNS trigger
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
