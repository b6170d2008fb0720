//! The schema, put together from the slices.

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions};

use crate::domain::{
    access::graphql::{AccessMutation, AccessQuery},
    api_keys::graphql::{ApiKeysMutation, ApiKeysQuery},
    audit::{
        graphql::{AuditQuery, access::AccessAuditQuery},
        subscription::AuditSubscription,
    },
    groups::graphql::{GroupsMutation, GroupsQuery},
    identity::graphql::IdentityMutation,
    members::graphql::{MembersMutation, MembersQuery},
    nodes::NodesQuery,
    ownership::graphql::{OwnershipMutation, OwnershipQuery},
    projects::graphql::{ProjectsMutation, ProjectsQuery},
    rate_limit::RateLimitQuery,
    roles::graphql::{
        RolesQuery,
        grants::{RoleGrantsMutation, RoleGrantsQuery},
        mutations::RolesMutation,
    },
    service_accounts::graphql::{ServiceAccountsMutation, ServiceAccountsQuery},
    tasks::graphql::{TasksMutation, TasksQuery, TasksSubscription},
    tenants::{graphql::TenantsQuery, subscription::ViewerSubscription, viewer::ViewerQuery},
    workspaces::graphql::{RosterMutation, RosterQuery, WorkspacesMutation, WorkspacesQuery},
};

/// Everything that can be read.
#[derive(MergedObject, Default)]
pub struct Query(
    ViewerQuery,
    TenantsQuery,
    WorkspacesQuery,
    RosterQuery,
    ProjectsQuery,
    TasksQuery,
    MembersQuery,
    OwnershipQuery,
    RolesQuery,
    RoleGrantsQuery,
    GroupsQuery,
    ServiceAccountsQuery,
    ApiKeysQuery,
    AuditQuery,
    RateLimitQuery,
    AccessAuditQuery,
    AccessQuery,
    NodesQuery,
);

/// Everything that can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(
    IdentityMutation,
    WorkspacesMutation,
    RosterMutation,
    ProjectsMutation,
    TasksMutation,
    MembersMutation,
    OwnershipMutation,
    RolesMutation,
    RoleGrantsMutation,
    GroupsMutation,
    ServiceAccountsMutation,
    ApiKeysMutation,
    AccessMutation,
);

/// Everything that can be listened to.
#[derive(MergedSubscription, Default)]
pub struct Subscription(ViewerSubscription, AuditSubscription, TasksSubscription);

/// The API.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// Builds the schema. Limits are the policy pass's; no extension is installed, because one alone, even an empty one,
/// makes the engine box every field (a 250-field answer went from 106 to 156 us, November 2026).
pub fn build() -> Schema {
    Schema::build(Query::default(), Mutation::default(), Subscription::default()).disable_suggestions().finish()
}

/// The schema's text, as committed in `schema.graphql`.
pub fn sdl(schema: &Schema) -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items();
    let mut text = schema.sdl_with_options(options);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
