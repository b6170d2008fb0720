\set t random(1, :tenants)
\set m 1
SELECT tenant_id, api_key_id, slug, status, revoked_at, ends_at FROM app.find_api_key((SELECT hash FROM bench.keys WHERE tenant = :t::int));
SELECT owner_member_id, service_account_id, workspace_id, allowed_cidrs, expires_at, revoked_at, overlap_until FROM api_keys WHERE tenant_id = {tenant} AND id = {key};
SELECT permission FROM api_key_scopes WHERE tenant_id = {tenant} AND api_key_id = {key};
SELECT version FROM access_versions WHERE tenant_id = {tenant};
SELECT m.status, g.id, g.role_id, g.workspace_id, g.expires_at FROM members m JOIN role_grants g ON g.tenant_id = {tenant} AND g.member_id = m.id WHERE m.tenant_id = {tenant} AND m.id = {member} AND m.deleted_at IS NULL;
SELECT p.role_id, p.permission, p.effect FROM role_grants g JOIN role_permissions p ON p.tenant_id = {tenant} AND p.role_id = g.role_id WHERE g.tenant_id = {tenant} AND g.member_id = {member};
SELECT id, parent_workspace_id FROM workspaces WHERE tenant_id = {tenant} AND visibility = 'private';
SELECT id, slug, name FROM tenants WHERE id = {tenant};
