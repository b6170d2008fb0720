// @generated automatically by Diesel CLI.

diesel::table! {
    access_changes (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        at -> Timestamptz,
        audit_id -> Uuid,
        action -> Text,
        subject_kind -> Text,
        subject_id -> Uuid,
        group_id -> Nullable<Uuid>,
        role_id -> Nullable<Uuid>,
        workspace_id -> Nullable<Uuid>,
        gained -> Array<Nullable<Text>>,
        lost -> Array<Nullable<Text>>,
        expires_at -> Nullable<Timestamptz>,
        reason -> Nullable<Text>,
        actor_kind -> Text,
        actor_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    access_versions (tenant_id) {
        tenant_id -> Uuid,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    api_key_index (key_hash) {
        key_hash -> Bytea,
        tenant_id -> Uuid,
        api_key_id -> Uuid,
    }
}

diesel::table! {
    api_key_scopes (tenant_id, api_key_id, permission) {
        tenant_id -> Uuid,
        api_key_id -> Uuid,
        permission -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        prefix -> Text,
        hint -> Text,
        owner_member_id -> Nullable<Uuid>,
        workspace_id -> Nullable<Uuid>,
        allowed_cidrs -> Array<Nullable<Cidr>>,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        revoked_reason -> Nullable<Text>,
        rotated_from_id -> Nullable<Uuid>,
        overlap_until -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        service_account_id -> Nullable<Uuid>,
        rate_capacity -> Nullable<Int4>,
        rate_refill_per_second -> Nullable<Int4>,
    }
}

diesel::table! {
    audit_logs (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        at -> Timestamptz,
        action -> Text,
        outcome -> Text,
        actor_kind -> Text,
        actor_id -> Nullable<Uuid>,
        impersonator_user_id -> Nullable<Uuid>,
        subject_kind -> Nullable<Text>,
        subject_id -> Nullable<Uuid>,
        workspace_id -> Nullable<Uuid>,
        target_kind -> Nullable<Text>,
        target_id -> Nullable<Uuid>,
        request_id -> Nullable<Uuid>,
        operation_name -> Nullable<Text>,
        source -> Text,
        detail -> Jsonb,
        pii_commit -> Nullable<Bytea>,
        used_permissions -> Array<Nullable<Text>>,
        xact -> Nullable<Int8>,
    }
}

diesel::table! {
    builtin_role_permissions (role_key, permission) {
        role_key -> Text,
        permission -> Text,
    }
}

diesel::table! {
    builtin_roles (key) {
        key -> Text,
        name -> Text,
        description -> Text,
        level -> Text,
        position -> Int4,
    }
}

diesel::table! {
    events (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        #[sql_name = "type"]
        type_ -> Text,
        api_version -> Text,
        workspace_id -> Nullable<Uuid>,
        subject_id -> Nullable<Uuid>,
        payload -> Jsonb,
        actor_kind -> Text,
        actor_id -> Nullable<Uuid>,
        audit_id -> Nullable<Uuid>,
        occurred_at -> Timestamptz,
        xact -> Nullable<Int8>,
    }
}

diesel::table! {
    export_tickets (tenant_id, token_hash) {
        tenant_id -> Uuid,
        token_hash -> Bytea,
        kind -> Text,
        principal -> Text,
        expires_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    feed_watches (tenant_id) {
        tenant_id -> Uuid,
        until -> Timestamptz,
    }
}

diesel::table! {
    group_members (tenant_id, group_id, member_id) {
        tenant_id -> Uuid,
        group_id -> Uuid,
        member_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    groups (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        description -> Text,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    hostnames (hostname) {
        hostname -> Text,
        tenant_id -> Uuid,
        kind -> Text,
        is_active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (tenant_id, principal, key) {
        tenant_id -> Uuid,
        principal -> Text,
        key -> Text,
        request_hash -> Bytea,
        response -> Nullable<Jsonb>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    members (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        user_id -> Uuid,
        status -> Text,
        display_name_override -> Nullable<Text>,
        joined_at -> Timestamptz,
        invited_by_member_id -> Nullable<Uuid>,
        last_seen_at -> Nullable<Timestamptz>,
        scim_external_id -> Nullable<Text>,
        version -> Int4,
        deleted_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    membership_index (user_id, tenant_id) {
        user_id -> Uuid,
        tenant_id -> Uuid,
        member_id -> Uuid,
    }
}

diesel::table! {
    ownership_transfers (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        from_member_id -> Uuid,
        to_member_id -> Uuid,
        state -> Text,
        expires_at -> Timestamptz,
        resolved_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    permissions (name) {
        name -> Text,
        level -> Text,
        description -> Text,
        implied -> Array<Nullable<Text>>,
        since -> Text,
    }
}

diesel::table! {
    plans (id) {
        id -> Uuid,
        key -> Text,
        name -> Text,
        limits -> Jsonb,
        is_public -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    platform_audit (id) {
        id -> Uuid,
        at -> Timestamptz,
        actor_user_id -> Nullable<Uuid>,
        actor_label -> Text,
        action -> Text,
        outcome -> Text,
        source -> Text,
        tenant_id -> Nullable<Uuid>,
        reason -> Nullable<Text>,
        request_id -> Nullable<Uuid>,
        detail -> Jsonb,
    }
}

diesel::table! {
    projects (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        workspace_id -> Uuid,
        name -> Text,
        description -> Text,
        state -> Text,
        owner_member_id -> Nullable<Uuid>,
        archived_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    refresh_tokens (id) {
        id -> Uuid,
        session_id -> Uuid,
        token_hash -> Bytea,
        rotated_to -> Nullable<Uuid>,
        used_at -> Nullable<Timestamptz>,
        expires_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    role_grants (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        member_id -> Nullable<Uuid>,
        role_id -> Uuid,
        workspace_id -> Nullable<Uuid>,
        expires_at -> Nullable<Timestamptz>,
        granted_by_member_id -> Nullable<Uuid>,
        reason -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        group_id -> Nullable<Uuid>,
        service_account_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    role_permissions (tenant_id, role_id, permission) {
        tenant_id -> Uuid,
        role_id -> Uuid,
        permission -> Text,
        effect -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    roles (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        description -> Text,
        is_system -> Bool,
        level -> Text,
        inherits_role_id -> Nullable<Uuid>,
        version -> Int4,
        deleted_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    search_terms (tenant_id, kind, term, target_id) {
        tenant_id -> Uuid,
        kind -> Text,
        term -> Text,
        target_id -> Uuid,
    }
}

diesel::table! {
    service_accounts (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        description -> Text,
        owner_member_id -> Nullable<Uuid>,
        status -> Text,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        auth_level -> Text,
        authenticated_at -> Timestamptz,
        expires_at -> Timestamptz,
        idle_expires_at -> Timestamptz,
        last_used_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoked_reason -> Nullable<Text>,
        ip -> Nullable<Inet>,
        user_agent -> Nullable<Text>,
        actor_user_id -> Nullable<Uuid>,
        actor_reason -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        alg -> Text,
        public_jwk -> Jsonb,
        private_enc -> Bytea,
        not_before -> Timestamptz,
        retire_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    slug_history (slug) {
        slug -> Text,
        tenant_id -> Uuid,
        released_at -> Timestamptz,
    }
}

diesel::table! {
    tasks (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        project_id -> Uuid,
        workspace_id -> Uuid,
        title -> Text,
        description -> Text,
        state -> Text,
        points -> Nullable<Int4>,
        due_on -> Nullable<Date>,
        due_sort -> Date,
        assignee_member_id -> Nullable<Uuid>,
        completed_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    tenant_counters (tenant_id) {
        tenant_id -> Uuid,
        seats_used -> Int4,
        seats_limit -> Nullable<Int4>,
        owners -> Int4,
        owners_min -> Int4,
        workspaces_used -> Int4,
        workspaces_limit -> Nullable<Int4>,
        api_keys_used -> Int4,
        api_keys_limit -> Nullable<Int4>,
        is_over_limit -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    tenant_settings (tenant_id) {
        tenant_id -> Uuid,
        locale -> Text,
        time_zone -> Text,
        session_max_seconds -> Int4,
        mfa_policy -> Text,
        allowed_email_domains -> Array<Nullable<Text>>,
        default_role_id -> Nullable<Uuid>,
        invite_expiry_seconds -> Int4,
        ip_allowlist -> Array<Nullable<Cidr>>,
        data_retention -> Jsonb,
        privacy -> Jsonb,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    tenants (id) {
        id -> Uuid,
        slug -> Text,
        name -> Text,
        status -> Text,
        suspended_at -> Nullable<Timestamptz>,
        suspended_reason -> Nullable<Text>,
        region -> Text,
        metadata -> Jsonb,
        plan_id -> Uuid,
        subscription_state -> Text,
        trial_ends_at -> Nullable<Timestamptz>,
        current_period_end -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
        purge_after -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    user_emails (id) {
        id -> Uuid,
        user_id -> Uuid,
        email -> Text,
        email_norm -> Text,
        verified_at -> Nullable<Timestamptz>,
        is_primary -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    user_passwords (user_id) {
        user_id -> Uuid,
        hash -> Text,
        changed_at -> Timestamptz,
        must_change -> Bool,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        display_name -> Text,
        avatar_file -> Nullable<Uuid>,
        status -> Text,
        locale -> Text,
        time_zone -> Text,
        failed_attempts -> Int4,
        locked_until -> Nullable<Timestamptz>,
        last_sign_in_at -> Nullable<Timestamptz>,
        last_tenant_id -> Nullable<Uuid>,
        erased_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    workspace_members (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        workspace_id -> Uuid,
        member_id -> Uuid,
        last_used_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    workspaces (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        slug -> Text,
        name -> Text,
        description -> Text,
        is_default -> Bool,
        parent_workspace_id -> Nullable<Uuid>,
        visibility -> Text,
        archived_at -> Nullable<Timestamptz>,
        settings -> Jsonb,
        version -> Int4,
        deleted_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(access_changes -> tenants (tenant_id));
diesel::joinable!(access_versions -> tenants (tenant_id));
diesel::joinable!(api_key_scopes -> permissions (permission));
diesel::joinable!(api_key_scopes -> tenants (tenant_id));
diesel::joinable!(api_keys -> tenants (tenant_id));
diesel::joinable!(audit_logs -> tenants (tenant_id));
diesel::joinable!(builtin_role_permissions -> builtin_roles (role_key));
diesel::joinable!(builtin_role_permissions -> permissions (permission));
diesel::joinable!(events -> tenants (tenant_id));
diesel::joinable!(export_tickets -> tenants (tenant_id));
diesel::joinable!(feed_watches -> tenants (tenant_id));
diesel::joinable!(group_members -> tenants (tenant_id));
diesel::joinable!(groups -> tenants (tenant_id));
diesel::joinable!(hostnames -> tenants (tenant_id));
diesel::joinable!(idempotency_keys -> tenants (tenant_id));
diesel::joinable!(members -> tenants (tenant_id));
diesel::joinable!(members -> users (user_id));
diesel::joinable!(ownership_transfers -> tenants (tenant_id));
diesel::joinable!(projects -> tenants (tenant_id));
diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::joinable!(role_grants -> tenants (tenant_id));
diesel::joinable!(role_permissions -> permissions (permission));
diesel::joinable!(role_permissions -> tenants (tenant_id));
diesel::joinable!(roles -> tenants (tenant_id));
diesel::joinable!(search_terms -> tenants (tenant_id));
diesel::joinable!(service_accounts -> tenants (tenant_id));
diesel::joinable!(slug_history -> tenants (tenant_id));
diesel::joinable!(tasks -> tenants (tenant_id));
diesel::joinable!(tenant_counters -> tenants (tenant_id));
diesel::joinable!(tenant_settings -> tenants (tenant_id));
diesel::joinable!(tenants -> plans (plan_id));
diesel::joinable!(user_emails -> users (user_id));
diesel::joinable!(user_passwords -> users (user_id));
diesel::joinable!(workspace_members -> tenants (tenant_id));
diesel::joinable!(workspaces -> tenants (tenant_id));
