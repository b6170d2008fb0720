//! The schema, put together from the slices.

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions, ValidationMode};

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

// The parts stand in groups: the engine asks one part after the other, each inside the call of the one before, and a long
// row of them is a deep stack.

/// What is read of the tenant, its workspaces and the work in them.
#[derive(MergedObject, Default)]
struct WorkQuery(ViewerQuery, TenantsQuery, WorkspacesQuery, RosterQuery, ProjectsQuery, TasksQuery);

/// What is read of people and programs.
#[derive(MergedObject, Default)]
struct PeopleQuery(MembersQuery, OwnershipQuery, GroupsQuery, ServiceAccountsQuery, ApiKeysQuery);

/// What is read of rights and of what happened.
#[derive(MergedObject, Default)]
struct RightsQuery(RolesQuery, RoleGrantsQuery, AccessQuery, AuditQuery, AccessAuditQuery, RateLimitQuery, NodesQuery);

/// Everything that can be read.
#[derive(MergedObject, Default)]
pub struct Query(WorkQuery, PeopleQuery, RightsQuery);

/// What is changed of the tenant, its workspaces and the work in them.
#[derive(MergedObject, Default)]
struct WorkMutation(WorkspacesMutation, RosterMutation, ProjectsMutation, TasksMutation);

/// What is changed of people and programs.
#[derive(MergedObject, Default)]
struct PeopleMutation(
    IdentityMutation,
    MembersMutation,
    OwnershipMutation,
    GroupsMutation,
    ServiceAccountsMutation,
    ApiKeysMutation,
);

/// What is changed of rights.
#[derive(MergedObject, Default)]
struct RightsMutation(RolesMutation, RoleGrantsMutation, AccessMutation);

/// Everything that can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(WorkMutation, PeopleMutation, RightsMutation);

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

/// The same for documents that [`build`]'s has found valid: it does not look for mistakes in them again.
pub fn build_for_valid_documents() -> Schema {
    let schema = Schema::build(Query::default(), Mutation::default(), Subscription::default());
    schema.disable_suggestions().validation_mode(ValidationMode::Fast).finish()
}

/// The schema's text, as committed in `schema.graphql`.
pub fn sdl(schema: &Schema) -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items();
    let mut text = schema.sdl_with_options(options);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
