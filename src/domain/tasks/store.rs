//! All SQL of the tasks.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{Array, BigInt, Date, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::types::{NewTask, Task, TaskChanges, TaskFind, TaskSort, TaskState};
use crate::{
    access::Reach,
    db::{DbError, Raw, TenantSql, TenantTx, WriteTx, tables::tasks},
    ids::{Id, MemberId, TaskId, WorkspaceId},
    keyset,
};

/// The values of a row in its order, as they stand in a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// In the order by creation.
    CreatedAt(DateTime<Utc>),
    /// In the order by due date.
    DueOn(NaiveDate),
    /// In the order by title.
    Title(String),
}

impl Place {
    /// Where this task stands in the order.
    pub fn of(task: &Task, sort: TaskSort) -> Self {
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
        match reach {
            Reach::All => {}
            Reach::AllExcept(hidden) => query = query.filter(tasks::workspace_id.ne_all(hidden.clone())),
            Reach::Only(visible) => query = query.filter(tasks::workspace_id.eq_any(visible.clone())),
            Reach::None => query = query.filter(tasks::workspace_id.eq_any(Vec::<WorkspaceId>::new())),
        }
        if let Some(workspace) = find.workspace {
            query = query.filter(tasks::workspace_id.eq(workspace));
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

/// One page of the tasks that the caller can reach. One statement.
pub(crate) async fn page(tx: &TenantTx, find: &TaskFind, reach: &Reach, slice: Slice) -> Result<Vec<Task>, DbError> {
    let query = filtered!(tx, find, reach).select(Task::as_select()).limit(slice.limit);
    let (after, descending) = (slice.after, slice.descending);
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

/// The same filter as in [`page`], for the tasks under one parent.
macro_rules! children_found {
    () => {
        "FROM tasks t WHERE t.tenant_id = {tenant} AND t.<parent> = parent.id \
           AND ({}::uuid[] IS NULL OR t.workspace_id = ANY ({})) \
           AND ({}::uuid[] IS NULL OR t.workspace_id <> ALL ({})) \
           AND ({}::text[] IS NULL OR t.state = ANY ({})) \
           AND ({}::uuid IS NULL OR t.workspace_id = {}) AND ({}::uuid IS NULL OR t.project_id = {}) \
           AND ({}::uuid IS NULL OR t.assignee_member_id = {}) \
           AND ({}::date IS NULL OR t.due_on >= {}) AND ({}::date IS NULL OR t.due_on <= {})"
    };
}

/// One index range for each parent, cut at the limit before rows are joined: the cost follows what is shown.
const CHILDREN: TenantSql = TenantSql::new(concat!(
    "SELECT parent.id AS parent_id, child.* FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT t.id, t.project_id, t.workspace_id, t.title, t.description, t.state, t.points, t.due_on, \
              t.assignee_member_id, t.completed_at, t.version, t.created_at, t.updated_at ",
    children_found!(),
    " AND ({}::uuid IS NULL OR (t.<column>, t.id) <sign> ({}::<type>, {})) \
       ORDER BY t.<column> <direction>, t.id <direction> LIMIT {}) AS child"
));

const CHILDREN_COUNTED: TenantSql = TenantSql::new(concat!(
    "SELECT parent.id AS parent_id, counted.total FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT count(*) AS total FROM (SELECT ",
    children_found!(),
    " LIMIT {}) AS child) AS counted"
));

impl Parent {
    fn column(self) -> &'static str {
        match self {
            Self::Project => "project_id",
            Self::Workspace => "workspace_id",
            Self::Assignee => "assignee_member_id",
        }
    }
}

/// A statement over the tasks under these parents, its filter bound.
fn under<'t>(
    tx: &'t TenantTx,
    sql: TenantSql,
    parent: Parent,
    parents: Vec<Uuid>,
    find: &TaskFind,
    reach: &Reach,
) -> Raw<'t> {
    let (only, except) = reach.bounds();
    let states = (!find.states.is_empty()).then(|| find.states.clone());
    tx.raw(sql.fill("parent", parent.column()))
        .bind::<Array<SqlUuid>, _>(parents)
        .bind::<Nullable<Array<SqlUuid>>, _>(only.clone())
        .bind::<Nullable<Array<SqlUuid>>, _>(only)
        .bind::<Nullable<Array<SqlUuid>>, _>(except.clone())
        .bind::<Nullable<Array<SqlUuid>>, _>(except)
        .bind::<Nullable<Array<Text>>, _>(states.clone())
        .bind::<Nullable<Array<Text>>, _>(states)
        .bind::<Nullable<SqlUuid>, _>(find.workspace)
        .bind::<Nullable<SqlUuid>, _>(find.workspace)
        .bind::<Nullable<SqlUuid>, _>(find.project)
        .bind::<Nullable<SqlUuid>, _>(find.project)
        .bind::<Nullable<SqlUuid>, _>(find.assignee)
        .bind::<Nullable<SqlUuid>, _>(find.assignee)
        .bind::<Nullable<Date>, _>(find.due_from)
        .bind::<Nullable<Date>, _>(find.due_from)
        .bind::<Nullable<Date>, _>(find.due_to)
        .bind::<Nullable<Date>, _>(find.due_to)
}

/// One page of tasks under each parent, in reading order. One statement, whatever the number of parents.
pub(crate) async fn children(
    tx: &TenantTx,
    parent: Parent,
    parents: Vec<Uuid>,
    find: &TaskFind,
    reach: &Reach,
    slice: &Slice,
) -> Result<Vec<(Uuid, Task)>, DbError> {
    let (column, kind) = match slice.sort {
        TaskSort::CreatedAt => ("created_at", "timestamptz"),
        TaskSort::DueOn => ("due_sort", "date"),
        TaskSort::Title => ("title", "text"),
    };
    let (direction, sign) = if slice.descending { ("DESC", "<") } else { ("ASC", ">") };
    let sql = CHILDREN.fill("column", column).fill("type", kind).fill("direction", direction).fill("sign", sign);
    let after_id = slice.after.as_ref().map(|(_, id)| id.uuid());
    let raw = under(tx, sql, parent, parents, find, reach).bind::<Nullable<SqlUuid>, _>(after_id);
    let raw = match slice.after.as_ref().map(|(place, _)| place) {
        Some(Place::CreatedAt(at)) => raw.bind::<Nullable<Timestamptz>, _>(Some(*at)),
        Some(Place::DueOn(day)) => raw.bind::<Nullable<Date>, _>(Some(*day)),
        Some(Place::Title(title)) => raw.bind::<Nullable<Text>, _>(Some(title.clone())),
        None => match slice.sort {
            TaskSort::CreatedAt => raw.bind::<Nullable<Timestamptz>, _>(None::<DateTime<Utc>>),
            TaskSort::DueOn => raw.bind::<Nullable<Date>, _>(None::<NaiveDate>),
            TaskSort::Title => raw.bind::<Nullable<Text>, _>(None::<String>),
        },
    };
    let rows: Vec<ChildRow> = raw.bind::<Nullable<SqlUuid>, _>(after_id).bind::<BigInt, _>(slice.limit).load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.child)).collect())
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
    let raw = under(tx, CHILDREN_COUNTED, parent, parents, find, reach);
    let rows: Vec<TotalRow> = raw.bind::<BigInt, _>(most + 1).load().await?;
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
