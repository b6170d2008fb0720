//! Projects in the API.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{
    loaders::ProjectById,
    service::{self, ProjectList},
    types::{Project, ProjectChanges, ProjectDraft, ProjectFind, ProjectSort, ProjectState},
};
use crate::{
    access::Permission::{MembersRead, ProjectsRead, ProjectsWrite, TasksRead, WorkspacesRead},
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Ahead, Answer, Arguments, answer},
        members::{self, graphql::MemberNode},
        reading::ReadScope,
        tasks::{
            self,
            graphql::{TaskConnection, TaskFilter, TaskOrder, task_connection, task_list},
            service::Parent,
        },
        workspaces::{self, graphql::WorkspaceNode, loaders::WorkspaceById},
    },
    graphql::{
        Page, PageArgs, UserError,
        directives::{PAGED, audited, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::ProjectId,
};

/// A project of a workspace.
pub struct ProjectNode(pub Project);

/// A project of a workspace.
#[Object(
    name = "Project",
    directive = requires_scopes::apply(ProjectsRead),
    directive = tenant_scoped::apply()
)]
impl ProjectNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// More about it; empty if nothing was said.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// Where it stands.
    async fn state(&self) -> ProjectState {
        self.0.state
    }

    /// When it was archived.
    async fn archived_at(&self) -> Option<DateTime> {
        self.0.archived_at.map(DateTime)
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

    /// The workspace it is in; null if you may not see it.
    #[graphql(directive = requires_scopes::apply(WorkspacesRead))]
    async fn workspace(&self, ctx: &Context<'_>) -> Answer<WorkspaceNode> {
        let found = workspaces::service::find(&gql::scope(ctx), self.0.workspace_id).await;
        answer(found.map(|found| found.map(WorkspaceNode)))
    }

    /// The member who answers for it; null if nobody does, or if you may not see them.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn owner(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let owner = self.0.owner_member_id?;
        answer(members::service::find(&gql::scope(ctx), owner).await.map(|found| found.map(MemberNode)))
    }

    /// Its tasks, newest first unless ordered otherwise.
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
            scope.prime::<ProjectById>([(self.0.id, self.0.clone())]);
            let services = gql::services(ctx);
            let page = tasks::service::list_under(services, &scope, Parent::Project, self.0.id, list).await?;
            tasks::graphql::look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(task_connection(page)))
        };
        answer(Box::pin(page).await)
    }
}

connection!(ProjectConnection, ProjectEdge, ProjectNode, "A page of projects.");

/// Which projects a list holds. All conditions must hold.
#[derive(Debug, Default, InputObject)]
pub struct ProjectFilter {
    /// In this workspace.
    workspace_id: Option<ID>,
    /// In this state.
    state: Option<ProjectState>,
}

impl ProjectFilter {
    /// The filter with its ids read.
    pub fn find(self) -> Result<ProjectFind, Error> {
        Ok(ProjectFind { workspace: self.workspace_id.as_ref().map(parse).transpose()?, state: self.state })
    }
}

/// By what projects can be ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ProjectOrderField {
    /// When they were created.
    CreatedAt,
    /// Their name, compared byte by byte.
    Name,
}

/// The order of a list of projects.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct ProjectOrder {
    /// By what.
    field: ProjectOrderField,
    /// In which direction.
    direction: gql::OrderDirection,
}

/// Puts the arguments of a list of projects together.
pub fn project_list(
    filter: Option<ProjectFilter>,
    order: Option<ProjectOrder>,
    page: PageArgs,
) -> Result<ProjectList, Error> {
    let order = order.unwrap_or(ProjectOrder { field: ProjectOrderField::Name, direction: gql::OrderDirection::Asc });
    Ok(ProjectList {
        find: filter.unwrap_or_default().find()?,
        sort: match order.field {
            ProjectOrderField::CreatedAt => ProjectSort::CreatedAt,
            ProjectOrderField::Name => ProjectSort::Name,
        },
        descending: order.direction == gql::OrderDirection::Desc,
        page: page.check()?,
    })
}

/// The page in the form of the API.
pub fn project_connection(page: Page<Project>) -> ProjectConnection {
    ProjectConnection(page.map(ProjectNode, |node| &node.0))
}

/// Loads what the field that gives these projects selects of them, in one flight.
pub async fn look_ahead(ctx: &Context<'_>, scope: &ReadScope, projects: &[Project]) {
    let items = Ahead::items(ctx);
    let owner = items.field("owner");
    let workspaces = async {
        if items.field("workspace").exists() {
            scope.look_ahead::<WorkspaceById>(gql::keys(projects.iter().map(|row| row.workspace_id))).await;
        }
    };
    let owners = async {
        if owner.exists() {
            let ids = gql::keys(projects.iter().filter_map(|row| row.owner_member_id));
            members::graphql::look_ahead(scope, ids, &owner).await;
        }
    };
    futures::join!(workspaces, owners);
}

/// Reads of projects.
#[derive(Default)]
pub struct ProjectsQuery;

#[Object]
impl ProjectsQuery {
    /// The project with this id, or null if there is none you may see.
    #[graphql(directive = requires_scopes::apply(ProjectsRead), directive = tenant_scoped::apply())]
    async fn project(&self, ctx: &Context<'_>, #[graphql(desc = "The project's id.")] id: ID) -> Answer<ProjectNode> {
        let found = async {
            let (scope, id) = (gql::scope(ctx), parse(&id)?);
            // Together with it: they need no more of it than its id.
            for of in Arguments::of(ctx, "tasks") {
                if let Ok(list) = task_list(of.get("filter"), of.get("orderBy"), of.page(), &of.items()) {
                    gql::foresee(tasks::service::list_under(gql::services(ctx), &scope, Parent::Project, id, list));
                }
            }
            Ok(service::find(&scope, id).await?.map(ProjectNode))
        };
        answer(found.await)
    }

    /// The projects you may see, by name unless ordered otherwise.
    #[graphql(
        directive = requires_scopes::apply(ProjectsRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
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
            let page = service::list(gql::services(ctx), &scope, list).await?;
            look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(project_connection(page)))
        };
        answer(Box::pin(page).await)
    }
}

/// A new project.
#[derive(Debug, InputObject)]
pub struct ProjectCreateInput {
    /// The workspace it is in, for good.
    workspace_id: ID,
    /// Its name, 1 to 120 characters.
    name: String,
    /// More about it, up to 10000 characters.
    description: Option<String>,
    /// The member who answers for it.
    owner_id: Option<ID>,
}

/// Changes of a project. What is absent stays, null clears.
#[derive(Debug, InputObject)]
pub struct ProjectUpdateInput {
    /// The project.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: Option<i32>,
    /// Its name, 1 to 120 characters.
    name: Option<String>,
    /// More about it, up to 10000 characters; null empties it.
    description: MaybeUndefined<String>,
    /// The member who answers for it.
    owner_id: MaybeUndefined<ID>,
}

/// A project to archive.
#[derive(Debug, InputObject)]
pub struct ProjectArchiveInput {
    /// The project.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
}

macro_rules! project_payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The project; null if nothing was written.
            project: Option<ProjectNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }
    )*};
}

project_payloads! {
    /// What `projectCreate` did.
    ProjectCreatePayload,
    /// What `projectUpdate` did.
    ProjectUpdatePayload,
    /// What `projectArchive` did.
    ProjectArchivePayload,
}

/// Changes of projects.
#[derive(Default)]
pub struct ProjectsMutation;

#[Object]
impl ProjectsMutation {
    /// Creates a project in a workspace.
    #[graphql(
        directive = requires_scopes::apply(ProjectsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ProjectCreate.name().into())
    )]
    async fn project_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project.")] input: ProjectCreateInput,
    ) -> Option<Result<ProjectCreatePayload>> {
        gql::renew(ctx);
        let written = async {
            let draft = ProjectDraft {
                name: input.name,
                description: input.description,
                owner: input.owner_id.as_ref().map(parse).transpose()?,
            };
            service::create(gql::services(ctx), gql::request(ctx), parse(&input.workspace_id)?, draft).await
        };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |project, user_errors| ProjectCreatePayload { project: project.map(ProjectNode), user_errors },
        )
        .await
    }

    /// Changes a project.
    #[graphql(
        directive = requires_scopes::apply(ProjectsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ProjectUpdate.name().into())
    )]
    async fn project_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: ProjectUpdateInput,
    ) -> Option<Result<ProjectUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let changes = ProjectChanges {
                name: input.name,
                description: gql::changed(input.description).map(Option::unwrap_or_default),
                owner_member_id: gql::changed_id(input.owner_id)?,
                ..ProjectChanges::default()
            };
            service::update(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version, changes).await
        };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |project, user_errors| ProjectUpdatePayload { project: project.map(ProjectNode), user_errors },
        )
        .await
    }

    /// Archives a project: it and its tasks can be read and not changed.
    #[graphql(
        directive = requires_scopes::apply(ProjectsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ProjectArchive.name().into())
    )]
    async fn project_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which project.")] input: ProjectArchiveInput,
    ) -> Option<Result<ProjectArchivePayload>> {
        gql::renew(ctx);
        let written =
            async { service::archive(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version).await };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |project, user_errors| ProjectArchivePayload { project: project.map(ProjectNode), user_errors },
        )
        .await
    }
}

/// The project of an earlier request with the same idempotency key.
async fn again(ctx: &Context<'_>, id: ProjectId) -> Result<Option<Project>, Error> {
    service::find(&gql::scope(ctx), id).await
}
