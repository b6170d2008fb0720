\set t random(1, :tenants)
\set w 1
SELECT id, title, state, created_at FROM tasks WHERE tenant_id = {tenant} AND workspace_id = {workspace} ORDER BY created_at DESC, id DESC LIMIT 51;
