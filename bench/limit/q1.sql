\set t random(1, :tenants)
\set w random(1, 5)
SELECT id, slug, name FROM tenants WHERE id = {tenant};
SELECT id, slug, name FROM workspaces WHERE tenant_id = {tenant} AND id = {workspace} AND deleted_at IS NULL;
