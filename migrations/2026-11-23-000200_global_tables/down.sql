DROP TABLE platform_audit, signing_keys, membership_index, api_key_index, builtin_role_permissions, builtin_roles,
    permissions, refresh_tokens, sessions, user_passwords, user_emails, users, hostnames, slug_history, tenants, plans;
