diesel::table! { tenant_settings (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { tenant_counters (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { members (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { roles (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { role_permissions (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { role_grants (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { access_versions (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { workspaces (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { workspace_members (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { projects (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { api_keys (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { api_key_scopes (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { events (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { audit_logs (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { idempotency_keys (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, } }
diesel::table! { tasks (tenant_id, id) { tenant_id -> Uuid, id -> Uuid, title -> Text, project_id->Uuid, assignee_member_id->Nullable<Uuid>, created_at->Timestamptz, version -> Int4, } }
diesel::table! { tenants (id) { id -> Uuid, } }
diesel::table! { users (id) { id -> Uuid, } }
diesel::table! { user_emails (id) { id -> Uuid, } }
diesel::table! { plans (id) { id -> Uuid, } }
diesel::allow_tables_to_appear_in_same_query!(tasks, members, users, projects);
