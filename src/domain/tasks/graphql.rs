//! Tasks in the API.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{
    service::{self, TaskList},
    types::{Task, TaskChanges, TaskDraft, TaskFind, TaskSort, TaskState},
};
use crate::{
    access::Permission::{MembersRead, ProjectsRead, TasksDelete, TasksRead, TasksWrite, WorkspacesRead},
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Ahead, answer},
        members::{self, graphql::MemberNode},
        projects::{self, graphql::ProjectNode, loaders::ProjectById},
        reading::ReadScope,
        workspaces::{self, graphql::WorkspaceNode, loaders::WorkspaceById},
    },
    graphql::{
        PageArgs, UserError,
        directives::{PAGED, audited, cost, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::{Date, DateTime},
    },
    ids::TaskId,
};

/// A task of a project.
pub struct TaskNode(pub Task);

/// A task of a project.
#[Object(
    name = "Task",
    directive = requires_scopes::apply(TasksRead),
    directive = tenant_scoped::apply()
)]
impl TaskNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// One line.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// More about it; empty if nothing was said.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// Where it stands.
    async fn state(&self) -> TaskState {
        self.0.state
    }

    /// Estimated size, 0 to 100.
    async fn points(&self) -> Option<i32> {
        self.0.points
    }

    /// The day it is due.
    async fn due_on(&self) -> Option<Date> {
        self.0.due_on.map(Date)
    }

    /// When it was completed.
    async fn completed_at(&self) -> Option<DateTime> {
        self.0.completed_at.map(DateTime)
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

    /// The project it belongs to; null if you may not see it.
    #[graphql(directive = requires_scopes::apply(ProjectsRead))]
    async fn project(&self, ctx: &Context<'_>) -> Option<Result<ProjectNode>> {
        let found = projects::service::find(&gql::scope(ctx), self.0.project_id).await;
        answer(found.map(|found| found.map(ProjectNode)))
    }

    /// The workspace of its project; null if you may not see it.
    #[graphql(directive = requires_scopes::apply(WorkspacesRead))]
    async fn workspace(&self, ctx: &Context<'_>) -> Option<Result<WorkspaceNode>> {
        let found = workspaces::service::find(&gql::scope(ctx), self.0.workspace_id).await;
        answer(found.map(|found| found.map(WorkspaceNode)))
    }

    /// The member who works on it; null if nobody does, or if you may not see them.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn assignee(&self, ctx: &Context<'_>) -> Option<Result<MemberNode>> {
        let assignee = self.0.assignee_member_id?;
        answer(members::service::find(&gql::scope(ctx), assignee).await.map(|found| found.map(MemberNode)))
    }
}

connection!(TaskConnection, TaskEdge, TaskNode, "A page of tasks.");

/// Which tasks a list holds. All conditions must hold.
#[derive(Debug, Default, InputObject)]
pub struct TaskFilter {
    /// In this workspace.
    workspace_id: Option<ID>,
    /// In this project.
    project_id: Option<ID>,
    /// In one of these states.
    states: Option<Vec<TaskState>>,
    /// Assigned to this member.
    assignee_id: Option<ID>,
    /// Due on this day or later.
    due_from: Option<Date>,
    /// Due on this day or earlier.
    due_to: Option<Date>,
}

impl TaskFilter {
    /// The filter with its ids read.
    pub fn find(self) -> Result<TaskFind, Error> {
        Ok(TaskFind {
            workspace: self.workspace_id.as_ref().map(parse).transpose()?,
            project: self.project_id.as_ref().map(parse).transpose()?,
            states: self.states.unwrap_or_default(),
            assignee: self.assignee_id.as_ref().map(parse).transpose()?,
            due_from: self.due_from.map(|day| day.0),
            due_to: self.due_to.map(|day| day.0),
        })
    }
}

/// By what tasks can be ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum TaskOrderField {
    /// When they were created.
    CreatedAt,
    /// When they are due; tasks without a due date come last.
    DueOn,
    /// Their title, compared byte by byte.
    Title,
}

/// The order of a list of tasks.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct TaskOrder {
    /// By what.
    field: TaskOrderField,
    /// In which direction.
    direction: gql::OrderDirection,
}

/// Puts the arguments of a list of tasks together.
pub fn task_list(filter: Option<TaskFilter>, order: Option<TaskOrder>, page: PageArgs) -> Result<TaskList, Error> {
    let order = order.unwrap_or(TaskOrder { field: TaskOrderField::CreatedAt, direction: gql::OrderDirection::Desc });
    Ok(TaskList {
        find: filter.unwrap_or_default().find()?,
        sort: match order.field {
            TaskOrderField::CreatedAt => TaskSort::CreatedAt,
            TaskOrderField::DueOn => TaskSort::DueOn,
            TaskOrderField::Title => TaskSort::Title,
        },
        descending: order.direction == gql::OrderDirection::Desc,
        page: page.check()?,
    })
}

/// The page in the form of the API.
pub fn task_connection(page: crate::graphql::Page<Task>) -> TaskConnection {
    TaskConnection(page.map(TaskNode, |node| &node.0))
}

/// Loads what the field that gives these tasks selects of them, in one flight.
pub async fn look_ahead(ctx: &Context<'_>, scope: &ReadScope, tasks: &[Task]) {
    let items = Ahead::items(ctx);
    let (project, assignee) = (items.field("project"), items.field("assignee"));
    let projects = async {
        if project.exists() {
            scope.look_ahead::<ProjectById>(gql::keys(tasks.iter().map(|task| task.project_id))).await;
        }
    };
    let workspaces = async {
        // The workspace of the project is the workspace of the task.
        if items.field("workspace").exists() || project.field("workspace").exists() {
            scope.look_ahead::<WorkspaceById>(gql::keys(tasks.iter().map(|task| task.workspace_id))).await;
        }
    };
    let assignees = async {
        if assignee.exists() {
            let ids = gql::keys(tasks.iter().filter_map(|task| task.assignee_member_id));
            members::graphql::look_ahead(scope, ids, &assignee).await;
        }
    };
    futures::join!(projects, workspaces, assignees);
}

/// Reads of tasks.
#[derive(Default)]
pub struct TasksQuery;

#[Object]
impl TasksQuery {
    /// The task with this id, or null if there is none you may see.
    #[graphql(directive = requires_scopes::apply(TasksRead), directive = tenant_scoped::apply())]
    async fn task(&self, ctx: &Context<'_>, #[graphql(desc = "The task's id.")] id: ID) -> Option<Result<TaskNode>> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(TaskNode)) };
        answer(found.await)
    }

    /// The tasks you may see, newest first unless ordered otherwise.
    #[graphql(
        directive = requires_scopes::apply(TasksRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
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
            let page = service::list(gql::services(ctx), &scope, list).await?;
            look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(task_connection(page)))
        };
        answer(page.await)
    }
}

/// A new task.
#[derive(Debug, InputObject)]
pub struct TaskCreateInput {
    /// The project it belongs to.
    project_id: ID,
    /// One line, 1 to 200 characters.
    title: String,
    /// More about it, up to 10000 characters.
    description: Option<String>,
    /// Where it stands; `TODO` if nothing is said.
    state: Option<TaskState>,
    /// Estimated size, 0 to 100.
    points: Option<i32>,
    /// The day it is due.
    due_on: Option<Date>,
    /// The member who works on it.
    assignee_id: Option<ID>,
}

/// Changes of a task. What is absent stays, null clears.
#[derive(Debug, InputObject)]
pub struct TaskUpdateInput {
    /// The task.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: Option<i32>,
    /// One line, 1 to 200 characters.
    title: Option<String>,
    /// More about it, up to 10000 characters; null empties it.
    description: MaybeUndefined<String>,
    /// Where it stands.
    state: Option<TaskState>,
    /// Estimated size, 0 to 100.
    points: MaybeUndefined<i32>,
    /// The day it is due.
    due_on: MaybeUndefined<Date>,
}

/// Who works on a task.
#[derive(Debug, InputObject)]
pub struct TaskAssignInput {
    /// The task.
    id: ID,
    /// The version you saw; the change is refused if somebody was faster.
    version: Option<i32>,
    /// The member; null takes the task from whoever has it.
    assignee_id: Option<ID>,
}

/// A task to complete.
#[derive(Debug, InputObject)]
pub struct TaskCompleteInput {
    /// The task.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
}

/// A task to delete.
#[derive(Debug, InputObject)]
pub struct TaskDeleteInput {
    /// The task.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
}

/// A row of an import.
#[derive(Debug, InputObject)]
pub struct TasksImportRow {
    /// One line, 1 to 200 characters.
    title: String,
    /// More about it, up to 10000 characters.
    description: Option<String>,
    /// Where it stands; `TODO` if nothing is said.
    state: Option<TaskState>,
    /// Estimated size, 0 to 100.
    points: Option<i32>,
    /// The day it is due.
    due_on: Option<Date>,
    /// The member who works on it.
    assignee_id: Option<ID>,
}

/// Tasks to create in bulk: all of them, or none.
#[derive(Debug, InputObject)]
pub struct TasksImportInput {
    /// The project they belong to.
    project_id: ID,
    /// The tasks, 1 to 500.
    rows: Vec<TasksImportRow>,
}

macro_rules! task_payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The task; null if nothing was written.
            task: Option<TaskNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }
    )*};
}

task_payloads! {
    /// What `taskCreate` did.
    TaskCreatePayload,
    /// What `taskUpdate` did.
    TaskUpdatePayload,
    /// What `taskAssign` did.
    TaskAssignPayload,
    /// What `taskComplete` did.
    TaskCompletePayload,
    /// What `taskDelete` did: the task as it was.
    TaskDeletePayload,
}

/// What `tasksImport` did.
#[derive(SimpleObject)]
pub struct TasksImportPayload {
    /// The ids of the new tasks, in the order of the rows; null if nothing was written.
    task_ids: Option<Vec<ID>>,
    /// How many tasks were created.
    count: i32,
    /// What to correct, for every bad row: `["input", "rows", "17", "title"]`.
    user_errors: Vec<UserError>,
}

/// Changes of tasks.
#[derive(Default)]
pub struct TasksMutation;

#[Object]
impl TasksMutation {
    /// Creates a task in a project.
    #[graphql(
        directive = requires_scopes::apply(TasksWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::TaskCreate.name().into())
    )]
    async fn task_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task.")] input: TaskCreateInput,
    ) -> Option<Result<TaskCreatePayload>> {
        gql::renew(ctx);
        let written = async {
            let project = parse(&input.project_id)?;
            let draft = TaskDraft {
                title: input.title,
                description: input.description,
                state: input.state,
                points: input.points,
                due_on: input.due_on.map(|day| day.0),
                assignee: input.assignee_id.as_ref().map(parse).transpose()?,
            };
            service::create(gql::services(ctx), gql::request(ctx), project, draft).await
        };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |task, user_errors| TaskCreatePayload { task: task.map(TaskNode), user_errors },
        )
        .await
    }

    /// Changes a task.
    #[graphql(
        directive = requires_scopes::apply(TasksWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::TaskUpdate.name().into())
    )]
    async fn task_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: TaskUpdateInput,
    ) -> Option<Result<TaskUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let changes = TaskChanges {
                title: input.title,
                description: gql::changed(input.description).map(Option::unwrap_or_default),
                state: input.state,
                points: gql::changed(input.points),
                due_on: gql::changed(input.due_on).map(|day| day.map(|day| day.0)),
                ..TaskChanges::default()
            };
            service::update(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version, changes).await
        };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |task, user_errors| TaskUpdatePayload { task: task.map(TaskNode), user_errors },
        )
        .await
    }

    /// Gives a task to a member, or takes it from whoever has it.
    #[graphql(
        directive = requires_scopes::apply(TasksWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::TaskAssign.name().into())
    )]
    async fn task_assign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which task, and to whom.")] input: TaskAssignInput,
    ) -> Option<Result<TaskAssignPayload>> {
        gql::renew(ctx);
        let written = async {
            let assignee = input.assignee_id.as_ref().map(parse).transpose()?;
            service::assign(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version, assignee).await
        };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |task, user_errors| TaskAssignPayload { task: task.map(TaskNode), user_errors },
        )
        .await
    }

    /// Completes a task.
    #[graphql(
        directive = requires_scopes::apply(TasksWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::TaskComplete.name().into())
    )]
    async fn task_complete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which task.")] input: TaskCompleteInput,
    ) -> Option<Result<TaskCompletePayload>> {
        gql::renew(ctx);
        let written =
            async { service::complete(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version).await };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |task, user_errors| TaskCompletePayload { task: task.map(TaskNode), user_errors },
        )
        .await
    }

    /// Deletes a task.
    #[graphql(
        directive = requires_scopes::apply(TasksDelete),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::TaskDelete.name().into())
    )]
    async fn task_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which task.")] input: TaskDeleteInput,
    ) -> Option<Result<TaskDeletePayload>> {
        gql::renew(ctx);
        let written =
            async { service::delete(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.version).await };
        gql::payload(
            written.await,
            async |id| again(ctx, id).await,
            |task, user_errors| TaskDeletePayload { task: task.map(TaskNode), user_errors },
        )
        .await
    }

    /// Creates up to 500 tasks in one project: all of them, or none with every bad row named.
    #[graphql(
        directive = requires_scopes::apply(TasksWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::TasksImport.name().into()),
        directive = cost::apply(100)
    )]
    async fn tasks_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tasks.")] input: TasksImportInput,
    ) -> Option<Result<TasksImportPayload>> {
        gql::renew(ctx);
        let written = async {
            let rows = input.rows.into_iter().map(TasksImportRow::draft).collect::<Result<_, Error>>()?;
            service::import(gql::services(ctx), gql::request(ctx), parse(&input.project_id)?, rows).await
        };
        let again = async |ids| Ok(Some(service::Imported(ids)));
        gql::payload(written.await, again, |made, user_errors| {
            let ids: Option<Vec<ID>> = made.map(|made| made.0.into_iter().map(ID::from).collect());
            let count = ids.as_ref().map_or(0, Vec::len);
            TasksImportPayload { task_ids: ids, count: i32::try_from(count).unwrap_or(i32::MAX), user_errors }
        })
        .await
    }
}

impl TasksImportRow {
    fn draft(self) -> Result<TaskDraft, Error> {
        Ok(TaskDraft {
            title: self.title,
            description: self.description,
            state: self.state,
            points: self.points,
            due_on: self.due_on.map(|day| day.0),
            assignee: self.assignee_id.as_ref().map(parse).transpose()?,
        })
    }
}

/// The task of an earlier request with the same idempotency key.
async fn again(ctx: &Context<'_>, id: TaskId) -> Result<Option<Task>, Error> {
    service::find(&gql::scope(ctx), id).await
}
