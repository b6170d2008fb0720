//! Tasks in the API: what is read. Changes are in `mutations`.

mod mutations;
mod subscription;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};

use super::{
    service::{self, TaskList},
    types::{ShownTask, Task, TaskFind, TaskRest, TaskSort, TaskState},
};
use crate::{
    access::Permission::{MembersRead, ProjectsRead, TasksRead, WorkspacesRead},
    connection,
    domain::{
        Error,
        gql::{self, Ahead, Answer, answer},
        members::{self, graphql::MemberNode},
        projects::{self, graphql::ProjectNode, loaders::ProjectById},
        reading::ReadScope,
        workspaces::{self, graphql::WorkspaceNode, loaders::WorkspaceById},
    },
    graphql::{
        PageArgs,
        directives::{PAGED, list_size, requires_scopes, tenant_scoped},
        error::ApiError,
        ids::parse,
        scalars::{Date, DateTime},
    },
};
pub use mutations::TasksMutation;
pub use subscription::{TaskChangeNode, TasksSubscription};

/// A task of a project.
pub struct TaskNode(pub ShownTask);

/// The fields of a task that [`TaskLine`](super::types::TaskLine) is enough for.
const OF_LINE: [&str; 6] = ["__typename", "id", "title", "state", "dueOn", "createdAt"];

impl TaskNode {
    /// What only those have read who select a field outside [`OF_LINE`].
    fn rest(&self) -> Result<&TaskRest, ApiError> {
        self.0.rest.as_ref().ok_or_else(|| {
            tracing::error!("a field of a task was asked for that its list did not foresee");
            ApiError::internal()
        })
    }
}

impl From<Task> for TaskNode {
    fn from(task: Task) -> Self {
        Self(task.into())
    }
}

/// A task of a project.
#[Object(
    name = "Task",
    directive = requires_scopes::apply(TasksRead),
    directive = tenant_scoped::apply()
)]
impl TaskNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.line.id.into()
    }

    /// One line.
    async fn title(&self) -> &str {
        &self.0.line.title
    }

    /// More about it; empty if nothing was said.
    async fn description(&self) -> Result<&str> {
        Ok(&self.rest()?.description)
    }

    /// Where it stands.
    async fn state(&self) -> TaskState {
        self.0.line.state
    }

    /// Estimated size, 0 to 100.
    async fn points(&self) -> Result<Option<i32>> {
        Ok(self.rest()?.points)
    }

    /// The day it is due.
    async fn due_on(&self) -> Option<Date> {
        self.0.line.due_on.map(Date)
    }

    /// When it was completed.
    async fn completed_at(&self) -> Result<Option<DateTime>> {
        Ok(self.rest()?.completed_at.map(DateTime))
    }

    /// Grows with every change; send it back with yours to notice those of others.
    async fn version(&self) -> Result<i32> {
        Ok(self.rest()?.version)
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.line.created_at)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Result<DateTime> {
        Ok(DateTime(self.rest()?.updated_at))
    }

    /// The project it belongs to; null if you may not see it.
    #[graphql(directive = requires_scopes::apply(ProjectsRead))]
    async fn project(&self, ctx: &Context<'_>) -> Answer<ProjectNode> {
        let found = async { projects::service::find(&gql::scope(ctx), self.rest()?.project_id).await };
        answer(found.await.map(|found| found.map(ProjectNode)))
    }

    /// The workspace of its project; null if you may not see it.
    #[graphql(directive = requires_scopes::apply(WorkspacesRead))]
    async fn workspace(&self, ctx: &Context<'_>) -> Answer<WorkspaceNode> {
        let found = async { workspaces::service::find(&gql::scope(ctx), self.rest()?.workspace_id).await };
        answer(found.await.map(|found| found.map(WorkspaceNode)))
    }

    /// The member who works on it; null if nobody does, or if you may not see them.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn assignee(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let found = async {
            match self.rest()?.assignee_member_id {
                Some(assignee) => members::service::find(&gql::scope(ctx), assignee).await,
                None => Ok(None),
            }
        };
        answer(found.await.map(|found| found.map(MemberNode)))
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

/// Puts the arguments of a list of tasks together; `items` is what is selected of them.
pub fn task_list(
    filter: Option<TaskFilter>,
    order: Option<TaskOrder>,
    page: PageArgs,
    items: &Ahead<'_>,
) -> Result<TaskList, Error> {
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
        whole: !items.are_among(&OF_LINE),
    })
}

/// The page in the form of the API.
pub fn task_connection(page: crate::graphql::Page<ShownTask>) -> TaskConnection {
    TaskConnection(page.map(TaskNode, |node| &node.0))
}

/// Loads what the field that gives these tasks selects of them, in one flight.
pub async fn look_ahead(ctx: &Context<'_>, scope: &ReadScope, tasks: &[ShownTask]) {
    let items = Ahead::items(ctx);
    let (project, assignee) = (items.field("project"), items.field("assignee"));
    let rest = || tasks.iter().filter_map(|task| task.rest.as_ref());
    let projects = async {
        if project.exists() {
            scope.look_ahead::<ProjectById>(gql::keys(rest().map(|task| task.project_id))).await;
        }
    };
    let workspaces = async {
        // The workspace of the project is the workspace of the task.
        if items.field("workspace").exists() || project.field("workspace").exists() {
            scope.look_ahead::<WorkspaceById>(gql::keys(rest().map(|task| task.workspace_id))).await;
        }
    };
    let assignees = async {
        if assignee.exists() {
            let ids = gql::keys(rest().filter_map(|task| task.assignee_member_id));
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
    async fn task(&self, ctx: &Context<'_>, #[graphql(desc = "The task's id.")] id: ID) -> Answer<TaskNode> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(TaskNode::from)) };
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
    ) -> Answer<TaskConnection> {
        let page = async {
            let list = task_list(filter, order_by, PageArgs { first, after, last, before }, &Ahead::items(ctx))?;
            let scope = gql::scope(ctx);
            let page = service::list(gql::services(ctx), &scope, list).await?;
            look_ahead(ctx, &scope, &page.items).await;
            Ok(Some(task_connection(page)))
        };
        answer(Box::pin(page).await)
    }
}
