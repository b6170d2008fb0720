DROP POLICY person_or_fellow ON users;
DROP POLICY person_self ON users;
DROP POLICY global_platform ON users;
DROP POLICY fellow_address ON user_emails;
DROP TABLE idempotency_keys, events, audit_logs, api_key_scopes, api_keys, tasks, projects, role_grants, workspace_members,
    workspaces, members, tenant_settings, role_permissions, roles, access_versions, tenant_counters;
