//! The use cases of tasks.

use std::sync::Arc;

pub use super::store::Parent;
use super::{
    loaders::{TaskById, TasksCounted, TasksUnder},
    store::{self, Place, Slice},
    types::{ShownTask, Task, TaskChanges, TaskDraft, TaskFind, TaskSort, TaskState},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, WriteTx},
    domain::{
        Error, Problem, Services,
        audit::{Action, Event, Target},
        members,
        mutation::{self, Effect, Work, Written},
        projects,
        reading::{ReadScope, Under},
    },
    graphql::{
        codes::UserErrorCode,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
        cursor::ListCursors,
    },
    ids::{Id, MemberId, ProjectId, TaskId},
};

/// Most rows of one import.
pub const MAX_IMPORT_ROWS: usize = 500;

/// The task with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: TaskId) -> Result<Option<Task>, Error> {
    scope.load::<TaskById>(id).await
}

/// How a list of tasks is asked for.
#[derive(Clone, Debug)]
pub struct TaskList {
    /// Which tasks.
    pub find: TaskFind,
    /// In which order.
    pub sort: TaskSort,
    /// From the end of that order.
    pub descending: bool,
    /// Which part.
    pub page: PageRequest,
    /// Whether more of them is asked for than [`TaskLine`](super::types::TaskLine) has.
    pub whole: bool,
}

impl TaskList {
    fn slice(&self, cursors: &ListCursors) -> Result<Slice, Error> {
        let after = match &self.page.cursor {
            None => None,
            Some(cursor) => {
                let cursor = cursors.open::<Place>(cursor)?;
                Some((cursor.values.clone(), cursor.id()))
            }
        };
        let descending = self.descending ^ (self.page.direction == Direction::Backward);
        Ok(Slice { sort: self.sort, descending, after, limit: self.page.fetch(), whole: self.whole })
    }

    fn into_page(self, cursors: ListCursors, rows: Vec<ShownTask>) -> Page<ShownTask> {
        let sort = self.sort;
        Page::of_rows(rows, &self.page, move |ShownTask { line, .. }: &ShownTask| {
            cursors.seal(&Place::of(line, sort), line.id.uuid())
        })
    }
}

/// A page of the tasks that the caller may see. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, list: TaskList) -> Result<Page<ShownTask>, Error> {
    let ctx = scope.ctx();
    let tenant = ctx.tenant()?.id;
    let cursors = services.cursors.list(Some(tenant), "Query.tasks", &list.find, list.sort.key(list.descending));
    let reach = ctx.reach(Permission::TasksRead);
    let rows = store::page(scope.tx().await?, &list.find, &reach, list.slice(&cursors)?).await?;
    let (find, scope) = (list.find.clone(), Arc::clone(scope));
    Ok(list.into_page(cursors, rows).counted(move || {
        let (find, reach, scope) = (find.clone(), reach.clone(), Arc::clone(&scope));
        async move { count(&scope, &find, &reach).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope, find: &TaskFind, reach: &crate::access::Reach) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, find, reach, MAX_COUNTED).await?))
}

/// A page of tasks under a parent; all parents of a level are asked in one statement.
///
/// # Errors
/// As [`list`].
pub async fn list_under(
    services: &Services,
    scope: &Arc<ReadScope>,
    parent: Parent,
    parent_id: impl Id,
    list: TaskList,
) -> Result<Page<ShownTask>, Error> {
    let ctx = scope.ctx();
    let field = match parent {
        Parent::Project => "Project.tasks",
        Parent::Workspace => "Workspace.tasks",
        Parent::Assignee => "Member.assignedTasks",
    };
    let order = list.sort.key(list.descending);
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), field, &(parent_id.to_string(), &list.find), order);
    let slice = list.slice(&cursors)?;
    let parent_id = parent_id.uuid();
    let other = match parent {
        Parent::Project => list.find.project.map(Id::uuid),
        Parent::Workspace => list.find.workspace.map(Id::uuid),
        Parent::Assignee => list.find.assignee.map(Id::uuid),
    };
    // A filter that asks for another parent than this one.
    if other.is_some_and(|other| other != parent_id) {
        return Ok(Page::empty());
    }
    let key = Under { parent: parent_id, wanted: (parent, list.find.clone(), slice) };
    let rows = scope.load::<TasksUnder>(key).await?.unwrap_or_default();
    let (find, scope) = (list.find.clone(), Arc::clone(scope));
    Ok(list.into_page(cursors, rows).counted(move || {
        let (key, scope) = (Under { parent: parent_id, wanted: (parent, find.clone()) }, Arc::clone(&scope));
        async move { scope.load::<TasksCounted>(key).await.map_err(Error::into_api) }
    }))
}

/// Creates a task in a project.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input; [`Error::Denied`] without `tasks:write` in the workspace.
pub async fn create(
    services: &Services,
    ctx: &RequestContext,
    project: ProjectId,
    draft: TaskDraft,
) -> Result<Written<Task>, Error> {
    let assignee = draft.assignee;
    let ahead = async move |tx: &WriteTx| {
        let active = members::service::active_among(tx, assignee.as_slice());
        futures::try_join!(projects::service::hold(tx, project), active)
    };
    mutation::run_ahead(services, ctx, Action::TaskCreate, ahead, async |work, (project, active)| {
        reject(draft.problems("input"))?;
        let project = projects::service::open_for_writing(work, project, "input.projectId")?;
        work.require(Permission::TasksWrite, On::Workspace(project.workspace_id))?;
        if assignee.is_some_and(|assignee| !active.contains(&assignee)) {
            return Err(Problem::not_found("input.assigneeId", "active member").into());
        }
        let new = draft.checked(project.id, project.workspace_id, TaskId::new(work.now()), work.now());
        let (task, tx) = (new.made(), work.tx);
        work.lastly(store::insert(tx, new));
        about(work, &task, "task.created");
        Ok(task)
    })
    .await
}

/// Changes a task that is at `version`.
///
/// # Errors
/// As [`create`]; `STALE_VERSION` if somebody was faster.
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: TaskId,
    version: Option<i32>,
    changes: TaskChanges,
) -> Result<Written<Task>, Error> {
    change(services, ctx, Action::TaskUpdate, "task.updated", id, version, changes).await
}

/// Gives a task to a member, or to nobody.
///
/// # Errors
/// As [`update`].
pub async fn assign(
    services: &Services,
    ctx: &RequestContext,
    id: TaskId,
    version: Option<i32>,
    assignee: Option<MemberId>,
) -> Result<Written<Task>, Error> {
    let changes = TaskChanges { assignee_member_id: Some(assignee), ..TaskChanges::default() };
    change(services, ctx, Action::TaskAssign, "task.assigned", id, version, changes).await
}

/// Completes a task.
///
/// # Errors
/// As [`update`]; `INVALID_STATE` if it is done already.
pub async fn complete(
    services: &Services,
    ctx: &RequestContext,
    id: TaskId,
    version: Option<i32>,
) -> Result<Written<Task>, Error> {
    let changes = TaskChanges { state: Some(TaskState::Done), ..TaskChanges::default() };
    change(services, ctx, Action::TaskComplete, "task.completed", id, version, changes).await
}

async fn change(
    services: &Services,
    ctx: &RequestContext,
    action: Action,
    event: &'static str,
    id: TaskId,
    version: Option<i32>,
    mut changes: TaskChanges,
) -> Result<Written<Task>, Error> {
    mutation::run(services, ctx, action, async |work| {
        reject(changes.problems("input"))?;
        let task = for_writing(work, id, Permission::TasksWrite).await?;
        if version.is_some_and(|version| version != task.version) {
            return Err(Problem::stale("input.version", task.version).into());
        }
        if action == Action::TaskComplete && task.state == TaskState::Done {
            let message = "The task is done already.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
        }
        check_assignee(work, changes.assignee_member_id.flatten(), "input.assigneeId").await?;
        changes.title = changes.title.map(|title| title.trim().to_owned());
        changes.completed_at = match changes.state {
            Some(TaskState::Done) if task.state != TaskState::Done => Some(Some(work.now())),
            Some(TaskState::Done) | None => None,
            Some(_) => Some(None),
        };
        work.detail("changed", changes.names());
        let task = store::update(work.tx, id, task.version, changes, work.now()).await?.ok_or_else(nothing_returned)?;
        about(work, &task, event);
        Ok(task)
    })
    .await
}

/// Deletes a task and gives what it was.
///
/// # Errors
/// `NOT_FOUND`; [`Error::Denied`] without `tasks:delete`; `STALE_VERSION`.
pub async fn delete(
    services: &Services,
    ctx: &RequestContext,
    id: TaskId,
    version: Option<i32>,
) -> Result<Written<Task>, Error> {
    mutation::run(services, ctx, Action::TaskDelete, async |work| {
        let task = for_writing(work, id, Permission::TasksDelete).await?;
        if version.is_some_and(|version| version != task.version) {
            return Err(Problem::stale("input.version", task.version).into());
        }
        store::delete(work.tx, id).await?;
        about(work, &task, "task.deleted");
        Ok(task)
    })
    .await
}

/// What an import made.
#[derive(Debug)]
pub struct Imported(pub Vec<TaskId>);

impl Effect for Imported {
    type Key = Vec<TaskId>;
    fn key(&self) -> Vec<TaskId> {
        self.0.clone()
    }
}

/// Creates up to 500 tasks in one project: all of them, or none with every bad row named.
///
/// # Errors
/// [`Error::Rejected`] with the problems of every row; [`Error::Denied`] without `tasks:write` in the workspace.
pub async fn import(
    services: &Services,
    ctx: &RequestContext,
    project: ProjectId,
    rows: Vec<TaskDraft>,
) -> Result<Written<Imported>, Error> {
    mutation::run(services, ctx, Action::TasksImport, async |work| {
        if rows.is_empty() {
            return Err(Problem::new(UserErrorCode::Required, "input.rows", "Give at least one row.").into());
        }
        if rows.len() > MAX_IMPORT_ROWS {
            let message = format!("An import has at most {MAX_IMPORT_ROWS} rows. Split it.");
            return Err(Problem::new(UserErrorCode::TooLong, "input.rows", message)
                .params(serde_json::json!({ "max": MAX_IMPORT_ROWS }))
                .into());
        }
        let mut problems: Vec<_> =
            (rows.iter().enumerate()).flat_map(|(index, row)| row.problems(&format!("input.rows.{index}"))).collect();
        let held = projects::service::hold(work.tx, project).await?;
        let project = projects::service::open_for_writing(work, held, "input.projectId")?;
        work.require(Permission::TasksWrite, On::Workspace(project.workspace_id))?;
        let mut assignees: Vec<MemberId> = rows.iter().filter_map(|row| row.assignee).collect();
        assignees.sort_unstable();
        assignees.dedup();
        let known = members::service::active_among(work.tx, &assignees).await?;
        for (index, row) in rows.iter().enumerate() {
            if row.assignee.is_some_and(|assignee| !known.contains(&assignee)) {
                problems.push(Problem::not_found(&format!("input.rows.{index}.assigneeId"), "active member"));
            }
        }
        reject(problems)?;
        let new: Vec<_> = (rows.into_iter())
            .map(|row| row.checked(project.id, project.workspace_id, TaskId::new(work.now()), work.now()))
            .collect();
        let ids: Vec<_> = new.iter().map(|task| task.id).collect();
        store::insert_many(work.tx, new).await?;
        work.target(Target::in_workspace("project", project.id, project.workspace_id));
        work.detail("count", ids.len());
        work.event(Event {
            kind: "tasks.imported",
            workspace: Some(project.workspace_id),
            subject: project.id.uuid(),
            payload: serde_json::json!({ "projectId": project.id, "taskIds": ids }),
        });
        Ok(Imported(ids))
    })
    .await
}

/// Takes the open tasks from a member who is none any more, so that somebody else is found for them; gives their number.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub(crate) async fn unassign(work: &Work<'_>, member: MemberId) -> Result<usize, DbError> {
    store::unassign(work.tx, member, work.now()).await
}

/// The task, locked, if the caller may see it, holds the permission in its workspace and its project is in use.
async fn for_writing(work: &Work<'_>, id: TaskId, permission: Permission) -> Result<Task, Error> {
    let task = store::lock(work.tx, id).await?;
    let task = task.filter(|task| work.can(Permission::TasksRead, On::Workspace(task.workspace_id)));
    let task = task.ok_or_else(|| Problem::not_found("input.id", "task"))?;
    work.require(permission, On::Workspace(task.workspace_id))?;
    projects::service::refuse_if_archived(work, task.project_id, "input.id").await?;
    Ok(task)
}

async fn check_assignee(work: &Work<'_>, assignee: Option<MemberId>, path: &str) -> Result<(), Error> {
    let Some(assignee) = assignee else { return Ok(()) };
    match members::service::active_among(work.tx, &[assignee]).await?.contains(&assignee) {
        true => Ok(()),
        false => Err(Problem::not_found(path, "active member").into()),
    }
}

fn about(work: &Work<'_>, task: &Task, event: &'static str) {
    work.target(Target::in_workspace("task", task.id, task.workspace_id));
    work.event(Event {
        kind: event,
        workspace: Some(task.workspace_id),
        subject: task.id.uuid(),
        payload: serde_json::json!({ "taskId": task.id, "projectId": task.project_id, "version": task.version }),
    });
}

pub(crate) fn reject(problems: Vec<Problem>) -> Result<(), Error> {
    if problems.is_empty() { Ok(()) } else { Err(Error::Rejected(problems)) }
}

/// `RETURNING` gave no row although the row is locked.
pub(crate) fn nothing_returned() -> Error {
    Error::Db(DbError::Other(diesel::result::Error::NotFound))
}
