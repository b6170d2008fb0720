DO $$
DECLARE
    fellow text := format('EXISTS (SELECT FROM members m WHERE m.%s AND m.user_id = %%s AND m.deleted_at IS NULL)', app.policy_expression());
BEGIN
    EXECUTE format('ALTER POLICY fellow_address ON user_emails USING (is_primary AND verified_at IS NOT NULL AND %s)',
                   format(fellow, 'user_emails.user_id'));
    EXECUTE format($policy$
        ALTER POLICY person_or_fellow ON users USING (
            id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid) OR %s)
        $policy$, format(fellow, 'users.id'));
END
$$;

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (tenant_id, expires_at);
CREATE INDEX role_permissions_permission ON role_permissions (tenant_id, permission);
CREATE INDEX api_key_scopes_permission ON api_key_scopes (tenant_id, permission);
CREATE INDEX api_keys_service_account ON api_keys (tenant_id, service_account_id) WHERE service_account_id IS NOT NULL;
DROP INDEX api_keys_service_account_created_at;
CREATE INDEX role_grants_workspace ON role_grants (tenant_id, workspace_id) WHERE workspace_id IS NOT NULL;
DROP INDEX role_grants_workspace_created_at;
CREATE INDEX role_grants_role ON role_grants (tenant_id, role_id);
DROP INDEX role_grants_role_created_at;
CREATE INDEX workspaces_parent ON workspaces (tenant_id, parent_workspace_id) WHERE parent_workspace_id IS NOT NULL;
DROP INDEX workspaces_parent_created_at;
DROP INDEX workspaces_parent_name;
