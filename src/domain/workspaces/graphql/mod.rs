//! Workspaces in the API: what is read. Changes are in `mutations`.

mod mutations;
mod roster;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};

use super::{
    service::{self, WorkspaceList},
    types::{Visibility, Workspace, WorkspaceFind, WorkspaceSort},
};
use crate::{
    access::Permission::{MembersRead, ProjectsRead, TasksRead, WorkspacesRead},
    connection,
    domain::{
        Error,
        gql::{self, Ahead, Answer, Arguments, answer},
        projects::{
            self,
            graphql::{ProjectConnection, ProjectFilter, ProjectOrder, project_connection, project_list},
        },
        reading::ReadScope,
        tasks::{
            self,
            graphql::{TaskConnection, TaskFilter, TaskOrder, task_connection, task_list},
            service::Parent,
        },
        workspaces::loaders::WorkspaceById,
    },
    graphql::{
        Page, PageArgs,
        directives::{PAGED, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::{DateTime, Json},
    },
    ids::WorkspaceId,
};
pub use mutations::WorkspacesMutation;
pub use roster::{RosterMutation, RosterQuery, WorkspaceMemberConnection};

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
    async fn parent(&self, ctx: &Context<'_>) -> Answer<WorkspaceNode> {
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
    ) -> Answer<WorkspaceConnection> {
        let page = async {
            let list = workspace_list(filter, order_by, PageArgs { first, after, last, before })?;
            let scope = gql::scope(ctx);
            scope.prime::<WorkspaceById>([(self.0.id, self.0.clone())]);
            Ok(Some(workspace_connection(service::list_under(gql::services(ctx), &scope, self.0.id, list).await?)))
        };
        answer(Box::pin(page).await)
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
    ) -> Answer<ProjectConnection> {
        let page = async {
            let list = project_list(filter, order_by, PageArgs { first, after, last, before })?;
            let scope = gql::scope(ctx);
            scope.prime::<WorkspaceById>([(self.0.id, self.0.clone())]);
            let page = projects::service::list_under(gql::services(ctx), &scope, self.0.id, list).await?;
            projects::graphql::look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(project_connection(page)))
        };
        answer(Box::pin(page).await)
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
    ) -> Answer<WorkspaceMemberConnection> {
        let page = PageArgs { first, after, last, before };
        answer(roster::page(ctx, "Workspace.members", self.0.id, page).await.map(Some))
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
    ) -> Answer<TaskConnection> {
        let page = async {
            let list = task_list(filter, order_by, PageArgs { first, after, last, before }, &Ahead::items(ctx))?;
            let scope = gql::scope(ctx);
            scope.prime::<WorkspaceById>([(self.0.id, self.0.clone())]);
            let services = gql::services(ctx);
            let page = tasks::service::list_under(services, &scope, Parent::Workspace, self.0.id, list).await?;
            tasks::graphql::look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(task_connection(page)))
        };
        answer(Box::pin(page).await)
    }
}

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

/// The lists of this workspace that are selected are fetched together with it: they need no more of it than its id.
fn foresee_lists(ctx: &Context<'_>, scope: &Arc<ReadScope>, id: WorkspaceId) {
    let services = gql::services(ctx);
    for of in Arguments::of(ctx, "tasks") {
        if let Ok(list) = task_list(of.get("filter"), of.get("orderBy"), of.page(), &of.items()) {
            gql::foresee(tasks::service::list_under(services, scope, Parent::Workspace, id, list));
        }
    }
    for of in Arguments::of(ctx, "projects") {
        if let Ok(list) = project_list(of.get("filter"), of.get("orderBy"), of.page()) {
            gql::foresee(projects::service::list_under(services, scope, id, list));
        }
    }
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
    ) -> Answer<WorkspaceNode> {
        let found = async {
            let (scope, id) = (gql::scope(ctx), parse(&id)?);
            foresee_lists(ctx, &scope, id);
            Ok(service::find(&scope, id).await?.map(WorkspaceNode))
        };
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
    ) -> Answer<WorkspaceConnection> {
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
        answer(Box::pin(page).await)
    }
}
