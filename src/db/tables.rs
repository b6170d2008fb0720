//! The tables as the rest of the crate sees them: columns and doors, no values.
//!
//! `schema.rs` is generated and private. Each module here re-exports a table's columns (never `tenant_id`), its type
//! for diesel's derives, and the functions that begin a statement on it. `tasks::table` is a type alias, so
//! `tasks::table.select(..)` is an error of the compiler and not a leak.

macro_rules! tenant_tables {
    ($($(#[$doc:meta])* $name:ident by $column:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[allow(missing_docs, non_camel_case_types, unused_imports, dead_code, hidden_glob_reexports, reason = "names of columns")]
        pub mod $name {
            pub use crate::db::schema::$name::columns::*;
            use crate::db::{TenantTx, WriteTx, schema, scope::{self, Joined, Scoped, TenantOnly, TenantTable, IsTenant}};
            use std::marker::PhantomData;

            /// For derives; it cannot be used as a value.
            pub type table = schema::$name::table;

            // Hides the column: nobody can filter by, insert or change it.
            #[allow(clippy::items_after_statements, reason = "macro")]
            struct tenant_id;

            impl TenantTable for table {
                type TenantColumn = schema::$name::columns::$column;
            }

            /// The rows of the transaction's tenant.
            pub fn in_tenant(tx: &TenantTx) -> Scoped<'_, TenantOnly<table>> {
                use diesel::QueryDsl;
                Scoped::of_tenant(tx, table::default().filter(scope::is_tenant::<table>(tx.tenant())))
            }

            /// The right side of a join; the tenant is added to `on`.
            pub fn joined<On>(on: On) -> Joined<table, On> {
                Joined(PhantomData, on)
            }

            /// Inserts one row into the transaction's tenant.
            #[allow(clippy::type_complexity, reason = "diesel's own name for an insert")]
            pub fn insert<V>(
                tx: &WriteTx,
                row: V,
            ) -> Scoped<'_, diesel::query_builder::InsertStatement<table, <(IsTenant<table>, V) as diesel::Insertable<table>>::Values>>
            where
                (IsTenant<table>, V): diesel::Insertable<table>,
            {
                Scoped::of_tenant(tx, diesel::insert_into(table::default()).values((scope::is_tenant::<table>(tx.tenant()), row)))
            }

            /// Inserts rows into the transaction's tenant as one `VALUES` list.
            #[allow(clippy::type_complexity, reason = "diesel's own name for an insert")]
            pub fn insert_many<V>(
                tx: &WriteTx,
                rows: impl IntoIterator<Item = V>,
            ) -> Scoped<'_, diesel::query_builder::InsertStatement<table, <Vec<(IsTenant<table>, V)> as diesel::Insertable<table>>::Values>>
            where
                Vec<(IsTenant<table>, V)>: diesel::Insertable<table>,
            {
                let rows: Vec<_> = rows.into_iter().map(|row| (scope::is_tenant::<table>(tx.tenant()), row)).collect();
                Scoped::of_any_length(tx, diesel::insert_into(table::default()).values(rows))
            }
        }
    )*};
}

macro_rules! global_tables {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[allow(missing_docs, non_camel_case_types, unused_imports, dead_code, hidden_glob_reexports, reason = "names of columns")]
        pub mod $name {
            pub use crate::db::schema::$name::columns::*;
            use crate::db::{schema, scope::{GlobalTable, JoinedGlobal}};
            use std::marker::PhantomData;

            /// For derives; it cannot be used as a value.
            pub type table = schema::$name::table;

            impl GlobalTable for table {}

            /// The right side of a join to this global table.
            pub fn joined<On>(on: On) -> JoinedGlobal<table, On> {
                JoinedGlobal(PhantomData, on)
            }
        }
    )*};
}

tenant_tables! {
    /// The tenant's own row.
    tenants by id,
    /// One row of settings for each tenant.
    tenant_settings by tenant_id,
    /// Seats, owners and quotas in use, bounded by CHECK constraints.
    tenant_counters by tenant_id,
    /// People inside the tenant.
    members by tenant_id,
    /// Built-in and custom roles.
    roles by tenant_id,
    /// What a role allows and denies.
    role_permissions by tenant_id,
    /// Roles given to members, groups and service accounts, tenant-wide or on a workspace.
    role_grants by tenant_id,
    /// Groups of members.
    groups by tenant_id,
    /// Who belongs to a group.
    group_members by tenant_id,
    /// What programs are in the tenant.
    service_accounts by tenant_id,
    /// The version of the tenant's rights; the cache key of every resolved permission set.
    access_versions by tenant_id,
    /// Workspaces: a tree, one of them the default.
    workspaces by tenant_id,
    /// Who belongs to a workspace.
    workspace_members by tenant_id,
    /// Projects of a workspace.
    projects by tenant_id,
    /// Tasks of a project.
    tasks by tenant_id,
    /// API keys, without their secrets.
    api_keys by tenant_id,
    /// What an API key may do.
    api_key_scopes by tenant_id,
    /// Outgoing events, written with the change.
    events by tenant_id,
    /// Who did what; append-only.
    audit_logs by tenant_id,
    /// Who gained or lost which rights; append-only.
    access_changes by tenant_id,
    /// Downloads that were asked for and not fetched yet.
    export_tickets by tenant_id,
    /// What repeated requests are answered from.
    idempotency_keys by tenant_id,
    /// Parts of texts that searches look for; kept by triggers.
    search_terms by tenant_id,
    /// Ownership on its way from one member to another.
    ownership_transfers by tenant_id,
}

global_tables! {
    /// People, across tenants.
    users,
    /// E-mail addresses of people.
    user_emails,
    /// Plans that tenants subscribe to.
    plans,
}

// Which tables may stand in one statement. The list is quadratic, and every table in it costs compile time: only tables
// that are joined. schema.rs, being generated, leaves it out.
diesel::allow_tables_to_appear_in_same_query!(tasks, projects, workspaces, members, users);
diesel::allow_tables_to_appear_in_same_query!(roles, role_permissions, role_grants);
diesel::allow_tables_to_appear_in_same_query!(user_emails, members);
diesel::allow_tables_to_appear_in_same_query!(user_emails, users);
diesel::allow_tables_to_appear_in_same_query!(workspace_members, members);
diesel::allow_tables_to_appear_in_same_query!(workspace_members, users);
diesel::allow_tables_to_appear_in_same_query!(workspace_members, user_emails);
diesel::allow_tables_to_appear_in_same_query!(role_grants, members);
diesel::allow_tables_to_appear_in_same_query!(role_grants, group_members);
diesel::allow_tables_to_appear_in_same_query!(group_members, members);
diesel::allow_tables_to_appear_in_same_query!(group_members, users);
diesel::allow_tables_to_appear_in_same_query!(group_members, user_emails);
diesel::allow_tables_to_appear_in_same_query!(role_grants, users);
diesel::allow_tables_to_appear_in_same_query!(role_grants, user_emails);
diesel::allow_tables_to_appear_in_same_query!(search_terms, members);
diesel::allow_tables_to_appear_in_same_query!(tenants, plans);
diesel::allow_tables_to_appear_in_same_query!(api_keys, api_key_scopes);
