//! The list of our tables: each is global or a tenant's, and there is no third kind.
//!
//! A table that is on neither list must have been enrolled by whoever made it (`app.enrol_table`): then it obeys the
//! rules of a tenant table and `doctor` is content.

/// What a role may do with a table: `SELECT`, or `UPDATE(name)` for one column.
pub(super) type Privileges = &'static [&'static str];

/// The condition of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Every row.
    True,
    /// Rows whose column is the tenant of the transaction.
    Tenant(&'static str),
    /// Rows whose column is the person of the transaction.
    Person(&'static str),
    /// People: oneself, and members of the tenant of the transaction.
    PersonOrFellow,
    /// Addresses: the verified primary one of a member of the tenant of the transaction.
    FellowAddress,
}

/// A policy that a table must have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub name: &'static str,
    /// `ALL`, `SELECT`, `UPDATE`, …
    pub command: &'static str,
    pub roles: &'static [&'static str],
    pub condition: Condition,
}

/// A table that belongs to no tenant.
pub(super) struct Global {
    pub name: &'static str,
    pub app: Privileges,
    pub platform: Privileges,
    /// Besides `global_owner`, which each has.
    pub policies: &'static [Policy],
}

/// A table whose rows belong to tenants.
pub(super) struct Tenant {
    pub name: &'static str,
    pub app: Privileges,
    pub platform: Privileges,
}

pub(super) const APP: &str = "tenantry_app";
pub(super) const PLATFORM: &str = "tenantry_platform";
pub(super) const OWNER: &str = "tenantry_owner";
pub(super) const MIGRATE: &str = "tenantry_migrate";

/// Diesel's own list of what has run: neither kind, and only readable.
pub(super) const MIGRATIONS: &str = "__diesel_schema_migrations";

pub(super) const OWNER_POLICY: Policy =
    Policy { name: "global_owner", command: "ALL", roles: &[OWNER], condition: Condition::True };
const READ: Policy =
    Policy { name: "global_read", command: "SELECT", roles: &[APP, PLATFORM], condition: Condition::True };
const PLATFORM_ALL: Policy =
    Policy { name: "global_platform", command: "ALL", roles: &[PLATFORM], condition: Condition::True };
const PLATFORM_READ: Policy =
    Policy { name: "global_platform", command: "SELECT", roles: &[PLATFORM], condition: Condition::True };
const SELF_READ: Policy =
    Policy { name: "person_self", command: "SELECT", roles: &[APP], condition: Condition::Person("user_id") };

/// The policies that `app.enrol_table` makes.
pub(super) const TENANT_POLICIES: &[Policy] = &[
    Policy { name: "tenant_app", command: "ALL", roles: &[APP], condition: Condition::Tenant("tenant_id") },
    Policy { name: "tenant_platform", command: "ALL", roles: &[PLATFORM], condition: Condition::Tenant("tenant_id") },
    Policy { name: "tenant_owner", command: "ALL", roles: &[OWNER], condition: Condition::True },
];

/// The policy of a partition: reached through its parent only.
pub(super) const PARTITION_POLICIES: &[Policy] =
    &[Policy { name: "tenant_owner", command: "ALL", roles: &[OWNER], condition: Condition::True }];

const NONE: Privileges = &[];
const SELECT: Privileges = &["SELECT"];
const APPEND: Privileges = &["SELECT", "INSERT"];
/// What `app.enrol_table` grants.
pub(super) const CHANGE: Privileges = &["SELECT", "INSERT", "UPDATE", "DELETE"];

const PERSON_SHOWN: Privileges = &[
    "SELECT(id)",
    "SELECT(display_name)",
    "SELECT(avatar_file)",
    "SELECT(status)",
    "SELECT(created_at)",
    "SELECT(updated_at)",
    "SELECT(version)",
];

const fn closed(name: &'static str) -> Global {
    Global { name, app: NONE, platform: NONE, policies: &[] }
}

const fn readable(name: &'static str) -> Global {
    Global { name, app: SELECT, platform: SELECT, policies: &[READ] }
}

/// Every global table.
pub(super) const GLOBAL: &[Global] = &[
    Global {
        name: "tenants",
        app: &["SELECT", "UPDATE(name)", "UPDATE(slug)", "UPDATE(metadata)", "UPDATE(version)", "UPDATE(updated_at)"],
        platform: &[
            "SELECT",
            "UPDATE(name)",
            "UPDATE(slug)",
            "UPDATE(metadata)",
            "UPDATE(status)",
            "UPDATE(suspended_at)",
            "UPDATE(suspended_reason)",
            "UPDATE(plan_id)",
            "UPDATE(subscription_state)",
            "UPDATE(trial_ends_at)",
            "UPDATE(current_period_end)",
            "UPDATE(deleted_at)",
            "UPDATE(purge_after)",
            "UPDATE(version)",
            "UPDATE(updated_at)",
        ],
        policies: &[
            Policy { name: "tenant_app", command: "ALL", roles: &[APP], condition: Condition::Tenant("id") },
            Policy { name: "tenant_platform", command: "ALL", roles: &[PLATFORM], condition: Condition::True },
        ],
    },
    closed("slug_history"),
    Global { name: "hostnames", app: NONE, platform: CHANGE, policies: &[PLATFORM_ALL] },
    Global {
        name: "users",
        app: &[
            "SELECT(id)",
            "SELECT(display_name)",
            "SELECT(avatar_file)",
            "SELECT(status)",
            "SELECT(created_at)",
            "SELECT(updated_at)",
            "SELECT(version)",
            "UPDATE(display_name)",
            "UPDATE(avatar_file)",
            "UPDATE(locale)",
            "UPDATE(time_zone)",
            "UPDATE(version)",
            "UPDATE(updated_at)",
        ],
        platform: PERSON_SHOWN,
        policies: &[
            Policy { name: "person_or_fellow", command: "SELECT", roles: &[APP], condition: Condition::PersonOrFellow },
            Policy { name: "person_self", command: "UPDATE", roles: &[APP], condition: Condition::Person("id") },
            PLATFORM_READ,
        ],
    },
    Global {
        name: "user_emails",
        app: SELECT,
        platform: SELECT,
        policies: &[
            SELF_READ,
            PLATFORM_READ,
            Policy { name: "fellow_address", command: "SELECT", roles: &[APP], condition: Condition::FellowAddress },
        ],
    },
    closed("user_passwords"),
    Global { name: "sessions", app: SELECT, platform: NONE, policies: &[SELF_READ] },
    closed("refresh_tokens"),
    readable("plans"),
    readable("permissions"),
    readable("builtin_roles"),
    readable("builtin_role_permissions"),
    closed("api_key_index"),
    closed("membership_index"),
    closed("signing_keys"),
    Global { name: "platform_audit", app: NONE, platform: SELECT, policies: &[PLATFORM_READ] },
];

const fn changed(name: &'static str) -> Tenant {
    Tenant { name, app: CHANGE, platform: CHANGE }
}

/// Every tenant table of ours.
pub(super) const TENANT: &[Tenant] = &[
    changed("tenant_settings"),
    // Counters and versions are kept by triggers.
    Tenant {
        name: "tenant_counters",
        app: SELECT,
        platform: &[
            "SELECT",
            "UPDATE(seats_limit)",
            "UPDATE(workspaces_limit)",
            "UPDATE(api_keys_limit)",
            "UPDATE(is_over_limit)",
            "UPDATE(updated_at)",
        ],
    },
    Tenant { name: "access_versions", app: SELECT, platform: SELECT },
    // Kept by app.feed_watch.
    Tenant { name: "feed_watches", app: SELECT, platform: SELECT },
    changed("members"),
    changed("roles"),
    changed("role_permissions"),
    changed("role_grants"),
    changed("groups"),
    changed("group_members"),
    changed("service_accounts"),
    changed("workspaces"),
    changed("workspace_members"),
    changed("projects"),
    changed("tasks"),
    changed("api_keys"),
    changed("api_key_scopes"),
    changed("idempotency_keys"),
    changed("ownership_transfers"),
    // Kept by triggers.
    Tenant { name: "search_terms", app: SELECT, platform: SELECT },
    Tenant { name: "events", app: APPEND, platform: APPEND },
    Tenant { name: "audit_logs", app: APPEND, platform: APPEND },
    Tenant { name: "access_changes", app: APPEND, platform: APPEND },
    changed("export_tickets"),
];

/// Tables partitioned by month, which `app.ensure_partitions` looks after.
pub(super) const MONTHLY: &[&str] = &["audit_logs", "events"];

/// Global indexes into tenant tables, which no foreign key may hold: the index, its column, the tenant table.
pub(super) const INDEXES: &[(&str, &str, &str)] =
    &[("api_key_index", "api_key_id", "api_keys"), ("membership_index", "member_id", "members")];
