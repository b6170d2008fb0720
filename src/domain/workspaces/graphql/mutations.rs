//! Changes of workspaces: inputs, payloads, fields.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::WorkspaceNode;
use crate::{
    access::Permission::{WorkspacesArchive, WorkspacesCreate, WorkspacesUpdate},
    domain::{
        Error,
        audit::Action,
        gql,
        workspaces::{
            service,
            types::{Visibility, Workspace, WorkspaceChanges, WorkspaceDraft},
        },
    },
    graphql::{
        UserError,
        directives::{audited, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::Json,
    },
    ids::WorkspaceId,
};

/// A new workspace.
#[derive(Debug, InputObject)]
pub struct WorkspaceCreateInput {
    /// Its name for people, 1 to 120 characters.
    name: String,
    /// Its name in addresses: a to z, digits and hyphens, up to 63 characters. Made of the name if nothing is said.
    slug: Option<String>,
    /// More about it, up to 2000 characters.
    description: Option<String>,
    /// The workspace it is in; on the first level if nothing is said. Five levels at most.
    parent_id: Option<ID>,
    /// Who sees it; `TENANT` if nothing is said.
    visibility: Option<Visibility>,
}

/// Changes of a workspace. What is absent stays, null clears.
#[derive(Debug, InputObject)]
pub struct WorkspaceUpdateInput {
    /// The workspace.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: Option<i32>,
    /// Its name for people, 1 to 120 characters.
    name: Option<String>,
    /// Its name in addresses: a to z, digits and hyphens, up to 63 characters.
    slug: Option<String>,
    /// More about it, up to 2000 characters; null empties it.
    description: MaybeUndefined<String>,
    /// The workspace it is in; null moves it to the first level. Needs `workspaces:update` for the whole tenant.
    parent_id: MaybeUndefined<ID>,
    /// Who sees it.
    visibility: Option<Visibility>,
    /// Free settings, replaced as a whole: an object of at most 16384 bytes; null empties it.
    settings: MaybeUndefined<Json>,
}

/// A workspace to archive.
#[derive(Debug, InputObject)]
pub struct WorkspaceArchiveInput {
    /// The workspace.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
}

/// A workspace to take out of the archive.
#[derive(Debug, InputObject)]
pub struct WorkspaceRestoreInput {
    /// The workspace.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
}

macro_rules! workspace_payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The workspace; null if nothing was written.
            workspace: Option<WorkspaceNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }
    )*};
}

workspace_payloads! {
    /// What `workspaceCreate` did.
    WorkspaceCreatePayload,
    /// What `workspaceUpdate` did.
    WorkspaceUpdatePayload,
    /// What `workspaceArchive` did.
    WorkspaceArchivePayload,
    /// What `workspaceRestore` did.
    WorkspaceRestorePayload,
}

/// Changes of workspaces.
#[derive(Default)]
pub struct WorkspacesMutation;

#[Object]
impl WorkspacesMutation {
    /// Creates a workspace.
    #[graphql(
        directive = requires_scopes::apply(WorkspacesCreate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::WorkspaceCreate.name().into())
    )]
    async fn workspace_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workspace.")] input: WorkspaceCreateInput,
    ) -> Option<Result<WorkspaceCreatePayload>> {
        gql::renew(ctx);
        let written = async {
            let draft = WorkspaceDraft {
                name: input.name,
                slug: input.slug,
                description: input.description,
                parent: input.parent_id.as_ref().map(parse).transpose()?,
                visibility: input.visibility,
            };
            service::create(gql::services(ctx), gql::request(ctx), draft).await
        };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |workspace, user_errors| WorkspaceCreatePayload { workspace: workspace.map(WorkspaceNode), user_errors },
        )
        .await
    }

    /// Changes a workspace.
    #[graphql(
        directive = requires_scopes::apply(WorkspacesUpdate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::WorkspaceUpdate.name().into())
    )]
    async fn workspace_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: WorkspaceUpdateInput,
    ) -> Option<Result<WorkspaceUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let settings = gql::changed(input.settings);
            let changes = WorkspaceChanges {
                name: input.name,
                slug: input.slug,
                description: gql::changed(input.description).map(Option::unwrap_or_default),
                parent_workspace_id: gql::changed_id(input.parent_id)?,
                visibility: input.visibility,
                settings: settings.map(|json| json.map_or_else(|| serde_json::json!({}), |json| json.0)),
                ..WorkspaceChanges::default()
            };
            service::update(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version, changes).await
        };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |workspace, user_errors| WorkspaceUpdatePayload { workspace: workspace.map(WorkspaceNode), user_errors },
        )
        .await
    }

    /// Archives a workspace: it can be read, and nothing in it can be changed. Workspaces in it stay as they are.
    #[graphql(
        directive = requires_scopes::apply(WorkspacesArchive),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::WorkspaceArchive.name().into())
    )]
    async fn workspace_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which workspace.")] input: WorkspaceArchiveInput,
    ) -> Option<Result<WorkspaceArchivePayload>> {
        gql::renew(ctx);
        let written =
            async { service::archive(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version).await };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |workspace, user_errors| WorkspaceArchivePayload { workspace: workspace.map(WorkspaceNode), user_errors },
        )
        .await
    }

    /// Takes a workspace out of the archive.
    #[graphql(
        directive = requires_scopes::apply(WorkspacesArchive),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::WorkspaceRestore.name().into())
    )]
    async fn workspace_restore(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which workspace.")] input: WorkspaceRestoreInput,
    ) -> Option<Result<WorkspaceRestorePayload>> {
        gql::renew(ctx);
        let written =
            async { service::restore(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version).await };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |workspace, user_errors| WorkspaceRestorePayload { workspace: workspace.map(WorkspaceNode), user_errors },
        )
        .await
    }
}

/// The workspace of an earlier request with the same idempotency key.
async fn again(ctx: &Context<'_>, id: WorkspaceId) -> Result<Option<Workspace>, Error> {
    service::find(&gql::scope(ctx), id).await
}
