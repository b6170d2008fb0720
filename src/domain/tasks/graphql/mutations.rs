//! Changes of tasks: inputs, payloads, fields.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::TaskNode;
use crate::{
    access::Permission::{TasksDelete, TasksWrite},
    domain::{
        Error,
        audit::Action,
        gql,
        tasks::{
            service,
            types::{Task, TaskChanges, TaskDraft, TaskState},
        },
    },
    graphql::{
        UserError,
        directives::{audited, cost, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::Date,
    },
    ids::TaskId,
};

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
            |task, user_errors| TaskCreatePayload { task: task.map(TaskNode::from), user_errors },
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
            |task, user_errors| TaskUpdatePayload { task: task.map(TaskNode::from), user_errors },
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
            |task, user_errors| TaskAssignPayload { task: task.map(TaskNode::from), user_errors },
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
            |task, user_errors| TaskCompletePayload { task: task.map(TaskNode::from), user_errors },
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
            |task, user_errors| TaskDeletePayload { task: task.map(TaskNode::from), user_errors },
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
