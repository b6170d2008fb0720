//! Workspaces in the API.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{
    service::{self, WorkspaceList},
    types::{Visibility, Workspace, WorkspaceChanges, WorkspaceDraft, WorkspaceFind, WorkspaceMember, WorkspaceSort},
};
use crate::{
    access::Permission::{
        MembersRead, ProjectsRead, TasksRead, WorkspacesArchive, WorkspacesCreate, WorkspacesRead, WorkspacesUpdate,
    },
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Ahead, answer},
        members::{self, graphql::MemberNode},
        projects::{
            self,
            graphql::{ProjectConnection, ProjectFilter, ProjectOrder, project_connection, project_list},
        },
        tasks::{
            self,
            graphql::{TaskConnection, TaskFilter, TaskOrder, task_connection, task_list},
            service::Parent,
        },
        workspaces::loaders::WorkspaceById,
    },
    graphql::{
        Page, PageArgs, UserError,
        directives::{PAGED, audited, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::{DateTime, Json},
    },
    ids::WorkspaceId,
};

/// A workspace: a part of a tenant.
pub struct WorkspaceNode(pub Workspace);

/// A workspace: a part of a tenant.
#[Object(
    name = "Workspace",
    directive = requires_scopes::apply(WorkspacesRead),
    directive = tenant_scoped::apply()
)]
impl WorkspaceNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Its name in addresses, unique in the tenant.
    async fn slug(&self) -> &str {
        &self.0.slug
    }

    /// Its name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// More about it; empty if nothing was said.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// Whether it is the one workspace that every tenant has.
    async fn is_default(&self) -> bool {
        self.0.is_default
    }

    /// Who sees it.
    async fn visibility(&self) -> Visibility {
        self.0.visibility
    }

    /// Whether it is archived: it can be read, and nothing in it can be changed.
    async fn is_archived(&self) -> bool {
        self.0.archived_at.is_some()
    }

    /// When it was archived.
    async fn archived_at(&self) -> Option<DateTime> {
        self.0.archived_at.map(DateTime)
    }

    /// Free settings: an object.
    async fn settings(&self) -> Json {
        Json(self.0.settings.clone())
    }

    /// Grows with every change; send it back with yours to notice those of others.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// The workspace it is in; null for one on the first level, and if you may not see it.
    async fn parent(&self, ctx: &Context<'_>) -> Option<Result<WorkspaceNode>> {
        let parent = self.0.parent_workspace_id?;
        answer(service::find(&gql::scope(ctx), parent).await.map(|found| found.map(WorkspaceNode)))
    }

    /// The workspaces directly in it that you may see, by name unless ordered otherwise.
    #[graphql(directive = list_size::apply(PAGED))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn children(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which workspaces.")] filter: Option<WorkspaceFilter>,
        #[graphql(desc = "In which order.")] order_by: Option<WorkspaceOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Option<Result<WorkspaceConnection>> {
        let page = async {
            let list = workspace_list(filter, order_by, PageArgs { first, after, last, before })?;
            let scope = gql::scope(ctx);
            scope.prime::<WorkspaceById>([(self.0.id, self.0.clone())]).await;
            Ok(Some(workspace_connection(service::list_under(gql::services(ctx), &scope, self.0.id, list).await?)))
        };
        answer(page.await)
    }

    /// The projects in it, by name unless ordered otherwise.
    #[graphql(directive = requires_scopes::apply(ProjectsRead), directive = list_size::apply(PAGED))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn projects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which projects.")] filter: Option<ProjectFilter>,
        #[graphql(desc = "In which order.")] order_by: Option<ProjectOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Option<Result<ProjectConnection>> {
        let page = async {
            let list = project_list(filter, order_by, PageArgs { first, after, last, before })?;
            let scope = gql::scope(ctx);
            scope.prime::<WorkspaceById>([(self.0.id, self.0.clone())]).await;
            let page = projects::service::list_under(gql::services(ctx), &scope, self.0.id, list).await?;
            projects::graphql::look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(project_connection(page)))
        };
        answer(page.await)
    }

    /// The members who belong to it, in the order in which they were added.
    #[graphql(directive = requires_scopes::apply(MembersRead), directive = list_size::apply(PAGED))]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Option<Result<WorkspaceMemberConnection>> {
        let page = async {
            let (scope, asked) = (gql::scope(ctx), PageArgs { first, after, last, before }.check()?);
            let page = service::list_members(gql::services(ctx), &scope, self.0.id, asked).await?;
            let member = Ahead::items(ctx).field("member");
            if member.exists() {
                let ids = gql::keys(page.items.iter().map(|row| row.member_id));
                members::graphql::look_ahead(&scope, ids, &member).await;
            }
            Ok(Some(WorkspaceMemberConnection(page.map(WorkspaceMemberNode, |node| &node.0))))
        };
        answer(page.await)
    }

    /// The tasks of its projects, newest first unless ordered otherwise.
    #[graphql(directive = requires_scopes::apply(TasksRead), directive = list_size::apply(PAGED))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tasks.")] filter: Option<TaskFilter>,
        #[graphql(desc = "In which order.")] order_by: Option<TaskOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Option<Result<TaskConnection>> {
        let page = async {
            let list = task_list(filter, order_by, PageArgs { first, after, last, before })?;
            let scope = gql::scope(ctx);
            scope.prime::<WorkspaceById>([(self.0.id, self.0.clone())]).await;
            let services = gql::services(ctx);
            let page = tasks::service::list_under(services, &scope, Parent::Workspace, self.0.id, list).await?;
            tasks::graphql::look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(task_connection(page)))
        };
        answer(page.await)
    }
}

/// A member's place in a workspace.
pub struct WorkspaceMemberNode(WorkspaceMember);

/// A member's place in a workspace.
#[Object(
    name = "WorkspaceMember",
    directive = requires_scopes::apply(MembersRead),
    directive = tenant_scoped::apply()
)]
impl WorkspaceMemberNode {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The member; null if you may not see them.
    async fn member(&self, ctx: &Context<'_>) -> Option<Result<MemberNode>> {
        answer(members::service::find(&gql::scope(ctx), self.0.member_id).await.map(|found| found.map(MemberNode)))
    }

    /// Since when.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

connection!(
    WorkspaceMemberConnection,
    WorkspaceMemberEdge,
    WorkspaceMemberNode,
    "A page of the members of a workspace."
);

connection!(WorkspaceConnection, WorkspaceEdge, WorkspaceNode, "A page of workspaces.");

/// Which workspaces a list holds. All conditions must hold.
#[derive(Debug, Default, InputObject)]
pub struct WorkspaceFilter {
    /// True for archived ones, false for those in use; both if nothing is said.
    is_archived: Option<bool>,
    /// Directly in this workspace.
    parent_id: Option<ID>,
}

impl WorkspaceFilter {
    /// The filter with its ids read.
    pub fn find(self) -> Result<WorkspaceFind, Error> {
        Ok(WorkspaceFind { is_archived: self.is_archived, parent: self.parent_id.as_ref().map(parse).transpose()? })
    }
}

/// By what workspaces can be ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum WorkspaceOrderField {
    /// When they were created.
    CreatedAt,
    /// Their name, compared byte by byte.
    Name,
}

/// The order of a list of workspaces.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct WorkspaceOrder {
    /// By what.
    field: WorkspaceOrderField,
    /// In which direction.
    direction: gql::OrderDirection,
}

/// Puts the arguments of a list of workspaces together.
pub fn workspace_list(
    filter: Option<WorkspaceFilter>,
    order: Option<WorkspaceOrder>,
    page: PageArgs,
) -> Result<WorkspaceList, Error> {
    let order =
        order.unwrap_or(WorkspaceOrder { field: WorkspaceOrderField::Name, direction: gql::OrderDirection::Asc });
    Ok(WorkspaceList {
        find: filter.unwrap_or_default().find()?,
        sort: match order.field {
            WorkspaceOrderField::CreatedAt => WorkspaceSort::CreatedAt,
            WorkspaceOrderField::Name => WorkspaceSort::Name,
        },
        descending: order.direction == gql::OrderDirection::Desc,
        page: page.check()?,
    })
}

/// The page in the form of the API.
pub fn workspace_connection(page: Page<Workspace>) -> WorkspaceConnection {
    WorkspaceConnection(page.map(WorkspaceNode, |node| &node.0))
}

/// Reads of workspaces.
#[derive(Default)]
pub struct WorkspacesQuery;

#[Object]
impl WorkspacesQuery {
    /// The workspace with this id, or null if there is none you may see.
    #[graphql(directive = requires_scopes::apply(WorkspacesRead), directive = tenant_scoped::apply())]
    async fn workspace(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workspace's id.")] id: ID,
    ) -> Option<Result<WorkspaceNode>> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(WorkspaceNode)) };
        answer(found.await)
    }

    /// The workspaces you may see, by name unless ordered otherwise.
    #[graphql(
        directive = requires_scopes::apply(WorkspacesRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn workspaces(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which workspaces.")] filter: Option<WorkspaceFilter>,
        #[graphql(desc = "In which order.")] order_by: Option<WorkspaceOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Option<Result<WorkspaceConnection>> {
        let page = async {
            let list = workspace_list(filter, order_by, PageArgs { first, after, last, before })?;
            let scope = gql::scope(ctx);
            let page = service::list(gql::services(ctx), &scope, list).await?;
            if Ahead::items(ctx).field("parent").exists() {
                let parents = page.items.iter().filter_map(|workspace| workspace.parent_workspace_id);
                scope.look_ahead::<WorkspaceById>(gql::keys(parents)).await;
            }
            Ok(Some(workspace_connection(page)))
        };
        answer(page.await)
    }
}

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
