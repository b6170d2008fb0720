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

CREATE INDEX role_grants_workspace ON role_grants (tenant_id, workspace_id) WHERE workspace_id IS NOT NULL;
DROP INDEX role_grants_workspace_created_at;
CREATE INDEX role_grants_role ON role_grants (tenant_id, role_id);
DROP INDEX role_grants_role_created_at;
CREATE INDEX workspaces_parent ON workspaces (tenant_id, parent_workspace_id) WHERE parent_workspace_id IS NOT NULL;
DROP INDEX workspaces_parent_created_at;
