\set t random(0, :deep - 1) * 100 + 1
\set w 1
SELECT id, title, state, created_at FROM tasks WHERE tenant_id = {tenant} AND workspace_id = {workspace} AND (created_at, id) < (timestamptz '2026-01-01 00:00Z' - interval '9830 minutes', {after}) ORDER BY created_at DESC, id DESC LIMIT 51;
