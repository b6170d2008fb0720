//! All SQL of the tasks.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{Array, BigInt, Date, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::types::{NewTask, ShownTask, Task, TaskChanges, TaskFind, TaskLine, TaskSort, TaskState};
use crate::{
    access::Reach,
    db::{DbError, Raw, TenantSql, TenantTx, WriteTx, tables::tasks},
    ids::{Id, MemberId, TaskId, WorkspaceId},
    keyset, keyset_text,
};

/// The values of a row in its order, as they stand in a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// In the order by creation.
    CreatedAt(#[serde(with = "chrono::serde::ts_microseconds")] DateTime<Utc>),
    /// In the order by due date.
    DueOn(NaiveDate),
    /// In the order by title.
    Title(String),
}

impl Place {
    /// Where this task stands in the order.
    pub fn of(task: &TaskLine, sort: TaskSort) -> Self {
        match sort {
            TaskSort::CreatedAt => Self::CreatedAt(task.created_at),
            // The same stand-in as the generated column `due_sort`.
            TaskSort::DueOn => Self::DueOn(task.due_on.or(NaiveDate::from_ymd_opt(9999, 12, 31)).unwrap_or_default()),
            TaskSort::Title => Self::Title(task.title.clone()),
        }
    }
}

/// How a list is read: order, direction and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    pub(crate) sort: TaskSort,
    /// The direction of reading: the order's, turned around when the page is read backward.
    pub(crate) descending: bool,
    pub(crate) after: Option<(Place, TaskId)>,
    pub(crate) limit: i64,
    /// Whether more is asked for than [`TaskLine`] has.
    pub(crate) whole: bool,
}

/// Tasks with these ids, in no particular order. Unknown and foreign ids are absent. One statement.
pub(crate) async fn find_many(tx: &TenantTx, ids: &[TaskId]) -> Result<Vec<Task>, DbError> {
    tasks::in_tenant(tx).filter(tasks::id.eq_any(ids.to_vec())).select(Task::as_select()).load().await
}

/// The task, locked until the end of the transaction. One statement.
pub(crate) async fn lock(tx: &WriteTx, id: TaskId) -> Result<Option<Task>, DbError> {
    tasks::in_tenant(tx).filter(tasks::id.eq(id)).select(Task::as_select()).for_update().first().await
}

macro_rules! filtered {
    ($tx:expr, $find:expr, $reach:expr) => {{
        let (find, reach): (&TaskFind, &Reach) = ($find, $reach);
        let mut query = tasks::in_tenant($tx).into_boxed();
        match reach.within(find.workspace) {
            Reach::All => {}
            Reach::AllExcept(hidden) => query = query.filter(tasks::workspace_id.ne_all(hidden)),
            Reach::Only(visible) => {
                // Equal to one, and the rows come out of the index in the order of the page.
                query = match *visible {
                    [one] => query.filter(tasks::workspace_id.eq(one)),
                    _ => query.filter(tasks::workspace_id.eq_any(visible)),
                }
            }
            Reach::None => query = query.filter(tasks::workspace_id.eq_any(Vec::<WorkspaceId>::new())),
        }
        if let Some(project) = find.project {
            query = query.filter(tasks::project_id.eq(project));
        }
        if !find.states.is_empty() {
            query = query.filter(tasks::state.eq_any(find.states.clone()));
        }
        if let Some(assignee) = find.assignee {
            query = query.filter(tasks::assignee_member_id.eq(assignee));
        }
        if let Some(from) = find.due_from {
            query = query.filter(tasks::due_on.ge(from));
        }
        if let Some(to) = find.due_to {
            query = query.filter(tasks::due_on.le(to));
        }
        query
    }};
}

/// The rows of a selection of tasks in this slice's part of its order.
macro_rules! rows {
    ($query:expr, $slice:expr) => {{
        let (query, slice): (_, Slice) = ($query, $slice);
        let (query, after, descending) = (query.limit(slice.limit), slice.after, slice.descending);
        match slice.sort {
            TaskSort::CreatedAt => {
                let after = after.and_then(|(place, id)| match place {
                    Place::CreatedAt(at) => Some((at, id)),
                    _ => None,
                });
                keyset!(query, tasks::created_at, tasks::id, descending, after).load().await
            }
            TaskSort::DueOn => {
                let after = after.and_then(|(place, id)| match place {
                    Place::DueOn(day) => Some((day, id)),
                    _ => None,
                });
                keyset!(query, tasks::due_sort, tasks::id, descending, after).load().await
            }
            TaskSort::Title => {
                let after = after.and_then(|(place, id)| match place {
                    Place::Title(title) => Some((title, id)),
                    _ => None,
                });
                keyset!(query, tasks::title, tasks::id, descending, after).load().await
            }
        }
    }};
}

/// One page of the tasks that the caller can reach. One statement.
pub(crate) async fn page(
    tx: &TenantTx,
    find: &TaskFind,
    reach: &Reach,
    slice: Slice,
) -> Result<Vec<ShownTask>, DbError> {
    let query = filtered!(tx, find, reach);
    if slice.whole {
        let rows: Vec<Task> = rows!(query.select(Task::as_select()), slice)?;
        Ok(rows.into_iter().map(ShownTask::from).collect())
    } else {
        let rows: Vec<TaskLine> = rows!(query.select(TaskLine::as_select()), slice)?;
        Ok(rows.into_iter().map(ShownTask::from).collect())
    }
}

/// How many tasks the caller can reach; counting stops behind `most`. One statement.
pub(crate) async fn count(tx: &TenantTx, find: &TaskFind, reach: &Reach, most: i64) -> Result<i64, DbError> {
    filtered!(tx, find, reach).select(tasks::id).count_up_to(most).await
}

/// Whose tasks a list under a parent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// The tasks of a project.
    Project,
    /// The tasks of a workspace.
    Workspace,
    /// The tasks of a member.
    Assignee,
}

#[derive(QueryableByName)]
struct ChildRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(embed)]
    child: Task,
}

#[derive(QueryableByName)]
struct TotalRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// One index range for each parent, cut at the limit before rows are joined: the cost follows what is shown.
macro_rules! children {
    ($parent:literal) => {
        TenantSql::new(concat!(
            "SELECT parent.id AS parent_id, child.* FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
               SELECT t.id, t.project_id, t.workspace_id, t.title, t.description, t.state, t.points, t.due_on, \
                      t.assignee_member_id, t.completed_at, t.version, t.created_at, t.updated_at \
               FROM tasks t WHERE t.tenant_id = {tenant} AND t.",
            $parent,
            " = parent.id"
        ))
    };
}

macro_rules! children_counted {
    ($parent:literal) => {
        TenantSql::new(concat!(
            "SELECT parent.id AS parent_id, counted.total FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
               SELECT count(*) AS total FROM (SELECT FROM tasks t WHERE t.tenant_id = {tenant} AND t.",
            $parent,
            " = parent.id"
        ))
    };
}

impl Parent {
    fn children(self) -> TenantSql {
        match self {
            Self::Project => const { children!("project_id") },
            Self::Workspace => const { children!("workspace_id") },
            Self::Assignee => const { children!("assignee_member_id") },
        }
    }

    fn children_counted(self) -> TenantSql {
        match self {
            Self::Project => const { children_counted!("project_id") },
            Self::Workspace => const { children_counted!("workspace_id") },
            Self::Assignee => const { children_counted!("assignee_member_id") },
        }
    }

    /// Takes out what only says again which parent is meant: for a statement it would be a second condition on the column
    /// by which its index is read.
    fn narrow(self, parents: &mut Vec<Uuid>, find: &mut TaskFind, reach: Reach) -> Reach {
        let reach = reach.within(find.workspace.take());
        let (only, reach) = match self {
            Self::Workspace => {
                parents.retain(|id| reach.contains(WorkspaceId::from_uuid(*id)));
                (None, Reach::All)
            }
            Self::Project => (find.project.take().map(Id::uuid), reach),
            Self::Assignee => (find.assignee.take().map(Id::uuid), reach),
        };
        parents.retain(|id| only.is_none_or(|only| only == *id));
        reach
    }
}

/// A statement over the tasks under these parents: the same conditions as in [`page`].
fn under<'t>(
    tx: &'t TenantTx,
    sql: TenantSql,
    parent: Parent,
    mut parents: Vec<Uuid>,
    find: &TaskFind,
    reach: &Reach,
) -> Raw<'t> {
    let mut find = find.clone();
    let (only, except) = parent.narrow(&mut parents, &mut find, reach.clone()).bounds();
    tx.raw(sql)
        .bind::<Array<SqlUuid>, _>(parents)
        .given::<Array<SqlUuid>, _>(" AND t.workspace_id = ANY ({})", only)
        .given::<Array<SqlUuid>, _>(" AND t.workspace_id <> ALL ({})", except)
        .given::<Array<Text>, _>(" AND t.state = ANY ({})", (!find.states.is_empty()).then_some(find.states))
        .given::<SqlUuid, _>(" AND t.project_id = {}", find.project)
        .given::<SqlUuid, _>(" AND t.assignee_member_id = {}", find.assignee)
        .given::<Date, _>(" AND t.due_on >= {}", find.due_from)
        .given::<Date, _>(" AND t.due_on <= {}", find.due_to)
}

/// One page of tasks under each parent, in reading order; whole ones under several. One statement, whatever the number of
/// parents.
pub(crate) async fn children(
    tx: &TenantTx,
    parent: Parent,
    parents: Vec<Uuid>,
    find: &TaskFind,
    reach: &Reach,
    slice: &Slice,
) -> Result<Vec<(Uuid, ShownTask)>, DbError> {
    // One parent is a condition like any other: the rows come straight out of the index.
    if let [one] = *parents {
        let mut find = find.clone();
        match parent {
            Parent::Project => find.project = Some(Id::from_uuid(one)),
            Parent::Workspace => find.workspace = Some(Id::from_uuid(one)),
            Parent::Assignee => find.assignee = Some(Id::from_uuid(one)),
        }
        let rows = page(tx, &find, reach, slice.clone()).await?;
        return Ok(rows.into_iter().map(|row| (one, row)).collect());
    }
    let text = match slice.sort {
        TaskSort::CreatedAt => keyset_text!("t.created_at", "t.id", slice.descending),
        TaskSort::DueOn => keyset_text!("t.due_sort", "t.id", slice.descending),
        TaskSort::Title => keyset_text!("t.title", "t.id", slice.descending),
    };
    let mut raw = under(tx, parent.children(), parent, parents, find, reach);
    if let Some((place, id)) = &slice.after {
        raw = raw.then(text.behind);
        raw = match place {
            Place::CreatedAt(at) => raw.bind::<Timestamptz, _>(*at),
            Place::DueOn(day) => raw.bind::<Date, _>(*day),
            Place::Title(title) => raw.bind::<Text, _>(title.clone()),
        };
        raw = raw.bind::<SqlUuid, _>(*id);
    }
    let rows: Vec<ChildRow> = raw.then(text.page).bind::<BigInt, _>(slice.limit).then(") AS child").load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.child.into())).collect())
}

/// How many tasks are under each parent; counting stops behind `most`. One statement.
pub(crate) async fn count_children(
    tx: &TenantTx,
    parent: Parent,
    parents: Vec<Uuid>,
    find: &TaskFind,
    reach: &Reach,
    most: i64,
) -> Result<Vec<(Uuid, i64)>, DbError> {
    let raw = under(tx, parent.children_counted(), parent, parents, find, reach);
    let raw = raw.then(" LIMIT {}) AS child) AS counted").bind::<BigInt, _>(most + 1);
    let rows: Vec<TotalRow> = raw.load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.total)).collect())
}

/// Inserts one task. One statement.
pub(crate) async fn insert(tx: &WriteTx, new: NewTask) -> Result<(), DbError> {
    tasks::insert(tx, new).execute().await.map(drop)
}

/// Inserts many tasks as one `VALUES` list. One statement.
pub(crate) async fn insert_many(tx: &WriteTx, new: Vec<NewTask>) -> Result<usize, DbError> {
    tasks::insert_many(tx, new).execute().await
}

/// Changes a task that is at `version` and gives its new form; `None` if it is at another. One statement.
pub(crate) async fn update(
    tx: &WriteTx,
    id: TaskId,
    version: i32,
    changes: TaskChanges,
    now: DateTime<Utc>,
) -> Result<Option<Task>, DbError> {
    tasks::in_tenant(tx)
        .filter(tasks::id.eq(id))
        .filter(tasks::version.eq(version))
        .set(tx, (changes, tasks::version.eq(version + 1), tasks::updated_at.eq(now)))
        .with(|update| update.returning(Task::as_returning()))
        .first()
        .await
}

/// Deletes a task. One statement.
pub(crate) async fn delete(tx: &WriteTx, id: TaskId) -> Result<usize, DbError> {
    tasks::in_tenant(tx).filter(tasks::id.eq(id)).delete(tx).execute().await
}

/// Takes the open tasks from a member; gives their number. One statement.
pub(crate) async fn unassign(tx: &WriteTx, member: MemberId, now: DateTime<Utc>) -> Result<usize, DbError> {
    tasks::in_tenant(tx)
        .filter(tasks::assignee_member_id.eq(member))
        .filter(tasks::state.eq_any([TaskState::Todo, TaskState::InProgress]))
        .set(
            tx,
            (
                tasks::assignee_member_id.eq(None::<MemberId>),
                tasks::version.eq(tasks::version + 1),
                tasks::updated_at.eq(now),
            ),
        )
        .execute()
        .await
}
