\set t random(1, :tenants)
SELECT m.id, u.id, u.display_name, e.email FROM (SELECT id, user_id, created_at FROM members WHERE tenant_id = {tenant} AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 20) m JOIN users u ON u.id = m.user_id LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary AND e.verified_at IS NOT NULL ORDER BY m.created_at DESC, m.id DESC;
SELECT g.id, g.member_id, g.role_id, g.workspace_id FROM (SELECT id FROM members WHERE tenant_id = {tenant} AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 20) m JOIN role_grants g ON g.tenant_id = {tenant} AND g.member_id = m.id WHERE g.expires_at IS NULL OR g.expires_at > now();
SELECT id, name FROM roles WHERE tenant_id = {tenant} AND deleted_at IS NULL;
SELECT id, name FROM workspaces WHERE tenant_id = {tenant} AND deleted_at IS NULL;
