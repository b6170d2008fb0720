//! All SQL of the projects.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::types::{NewProject, Project, ProjectChanges, ProjectFind, ProjectSort, ProjectState};
use crate::{
    access::Reach,
    db::{
        DbError, Raw, TenantSql, TenantTx, WriteTx,
        tables::{projects, workspaces},
    },
    ids::{Id, MemberId, ProjectId, WorkspaceId},
    keyset, keyset_text,
};

/// The values of a row in its order, as they stand in a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// In the order by creation.
    CreatedAt(#[serde(with = "chrono::serde::ts_microseconds")] DateTime<Utc>),
    /// In the order by name.
    Name(String),
}

impl Place {
    /// Where this project stands in the order.
    pub fn of(project: &Project, sort: ProjectSort) -> Self {
        match sort {
            ProjectSort::CreatedAt => Self::CreatedAt(project.created_at),
            ProjectSort::Name => Self::Name(project.name.clone()),
        }
    }
}

/// How a list is read: order, direction and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    pub(crate) sort: ProjectSort,
    /// The direction of reading: the order's, turned around when the page is read backward.
    pub(crate) descending: bool,
    pub(crate) after: Option<(Place, ProjectId)>,
    pub(crate) limit: i64,
}

/// Projects with these ids, in no particular order. Unknown and foreign ids are absent. One statement.
pub(crate) async fn find_many(tx: &TenantTx, ids: &[ProjectId]) -> Result<Vec<Project>, DbError> {
    projects::in_tenant(tx).filter(projects::id.eq_any(ids.to_vec())).select(Project::as_select()).load().await
}

/// The project, locked until the end of the transaction. One statement.
pub(crate) async fn lock(tx: &WriteTx, id: ProjectId) -> Result<Option<Project>, DbError> {
    projects::in_tenant(tx).filter(projects::id.eq(id)).select(Project::as_select()).for_update().first().await
}

/// When the workspace was archived; it stays as it is until the end of the transaction. One statement.
pub(crate) async fn hold_workspace(tx: &WriteTx, id: WorkspaceId) -> Result<Option<DateTime<Utc>>, DbError> {
    let found = workspaces::in_tenant(tx).filter(workspaces::id.eq(id)).select(workspaces::archived_at).for_share();
    Ok(found.first().await?.flatten())
}

/// The project and when its workspace was archived; both stay as they are until the end of the transaction. One statement.
pub(crate) async fn hold(tx: &WriteTx, id: ProjectId) -> Result<Option<(Project, Option<DateTime<Utc>>)>, DbError> {
    projects::in_tenant(tx)
        .inner_join(workspaces::joined(workspaces::id.eq(projects::workspace_id)))
        .filter(projects::id.eq(id))
        .select((Project::as_select(), workspaces::archived_at))
        .for_share()
        .first()
        .await
}

macro_rules! filtered {
    ($tx:expr, $find:expr, $reach:expr) => {{
        let (find, reach): (&ProjectFind, &Reach) = ($find, $reach);
        let mut query = projects::in_tenant($tx).into_boxed();
        match reach.within(find.workspace) {
            Reach::All => {}
            Reach::AllExcept(hidden) => query = query.filter(projects::workspace_id.ne_all(hidden)),
            Reach::Only(visible) => {
                // Equal to one, and the rows come out of the index in the order of the page.
                query = match *visible {
                    [one] => query.filter(projects::workspace_id.eq(one)),
                    _ => query.filter(projects::workspace_id.eq_any(visible)),
                }
            }
            Reach::None => query = query.filter(projects::workspace_id.eq_any(Vec::<WorkspaceId>::new())),
        }
        if let Some(state) = find.state {
            query = query.filter(projects::state.eq(state));
        }
        query
    }};
}

/// One page of the projects that the caller can reach. One statement.
pub(crate) async fn page(
    tx: &TenantTx,
    find: &ProjectFind,
    reach: &Reach,
    slice: Slice,
) -> Result<Vec<Project>, DbError> {
    let query = filtered!(tx, find, reach).select(Project::as_select()).limit(slice.limit);
    let (after, descending) = (slice.after, slice.descending);
    match slice.sort {
        ProjectSort::CreatedAt => {
            let after = after.and_then(|(place, id)| match place {
                Place::CreatedAt(at) => Some((at, id)),
                Place::Name(_) => None,
            });
            keyset!(query, projects::created_at, projects::id, descending, after).load().await
        }
        ProjectSort::Name => {
            let after = after.and_then(|(place, id)| match place {
                Place::Name(name) => Some((name, id)),
                Place::CreatedAt(_) => None,
            });
            keyset!(query, projects::name, projects::id, descending, after).load().await
        }
    }
}

/// How many projects the caller can reach; counting stops behind `most`. One statement.
pub(crate) async fn count(tx: &TenantTx, find: &ProjectFind, reach: &Reach, most: i64) -> Result<i64, DbError> {
    filtered!(tx, find, reach).select(projects::id).count_up_to(most).await
}

/// One index range for each parent, cut at the limit before rows are joined.
const CHILDREN: TenantSql = TenantSql::new(
    "SELECT parent.id AS parent_id, child.* FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT p.id, p.workspace_id, p.name, p.description, p.state, p.owner_member_id, p.archived_at, p.version, \
              p.created_at, p.updated_at \
       FROM projects p WHERE p.tenant_id = {tenant} AND p.workspace_id = parent.id",
);

const CHILDREN_COUNTED: TenantSql = TenantSql::new(
    "SELECT parent.id AS parent_id, counted.total FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT count(*) AS total FROM (SELECT FROM projects p WHERE p.tenant_id = {tenant} AND p.workspace_id = parent.id",
);

#[derive(QueryableByName)]
struct ChildRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(embed)]
    child: Project,
}

#[derive(QueryableByName)]
struct TotalRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// A statement over the projects of these workspaces: the same conditions as in [`page`].
fn under<'t>(tx: &'t TenantTx, sql: TenantSql, mut parents: Vec<Uuid>, find: &ProjectFind, reach: &Reach) -> Raw<'t> {
    // The workspace is the parent: a condition on it is one on the parents.
    let reach = reach.within(find.workspace);
    parents.retain(|id| reach.contains(WorkspaceId::from_uuid(*id)));
    tx.raw(sql).bind::<Array<SqlUuid>, _>(parents).given::<Text, _>(" AND p.state = {}", find.state)
}

/// One page of projects of each workspace, in reading order. One statement, whatever the number of workspaces.
pub(crate) async fn children(
    tx: &TenantTx,
    parents: Vec<Uuid>,
    find: &ProjectFind,
    reach: &Reach,
    slice: &Slice,
) -> Result<Vec<(Uuid, Project)>, DbError> {
    let text = match slice.sort {
        ProjectSort::CreatedAt => keyset_text!("p.created_at", "p.id", slice.descending),
        ProjectSort::Name => keyset_text!("p.name", "p.id", slice.descending),
    };
    let mut raw = under(tx, CHILDREN, parents, find, reach);
    if let Some((place, id)) = &slice.after {
        raw = raw.then(text.behind);
        raw = match place {
            Place::CreatedAt(at) => raw.bind::<Timestamptz, _>(*at),
            Place::Name(name) => raw.bind::<Text, _>(name.clone()),
        };
        raw = raw.bind::<SqlUuid, _>(*id);
    }
    let rows: Vec<ChildRow> = raw.then(text.page).bind::<BigInt, _>(slice.limit).then(") AS child").load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.child)).collect())
}

/// How many projects each workspace has; counting stops behind `most`. One statement.
pub(crate) async fn count_children(
    tx: &TenantTx,
    parents: Vec<Uuid>,
    find: &ProjectFind,
    reach: &Reach,
    most: i64,
) -> Result<Vec<(Uuid, i64)>, DbError> {
    let raw = under(tx, CHILDREN_COUNTED, parents, find, reach);
    let raw = raw.then(" LIMIT {}) AS child) AS counted").bind::<BigInt, _>(most + 1);
    let rows: Vec<TotalRow> = raw.load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.total)).collect())
}

/// Inserts one project. One statement.
pub(crate) async fn insert(tx: &WriteTx, new: NewProject) -> Result<Option<Project>, DbError> {
    projects::insert(tx, new).with(|insert| insert.returning(Project::as_returning())).first().await
}

/// Changes a project that is at `version` and gives its new form; `None` if it is at another. One statement.
pub(crate) async fn update(
    tx: &WriteTx,
    id: ProjectId,
    version: i32,
    changes: ProjectChanges,
    now: DateTime<Utc>,
) -> Result<Option<Project>, DbError> {
    projects::in_tenant(tx)
        .filter(projects::id.eq(id))
        .filter(projects::version.eq(version))
        .set(tx, (changes, projects::version.eq(version + 1), projects::updated_at.eq(now)))
        .with(|update| update.returning(Project::as_returning()))
        .first()
        .await
}

/// Takes the active projects from a member; gives their number. One statement.
pub(crate) async fn disown(tx: &WriteTx, member: MemberId, now: DateTime<Utc>) -> Result<usize, DbError> {
    projects::in_tenant(tx)
        .filter(projects::owner_member_id.eq(member))
        .filter(projects::state.eq(ProjectState::Active))
        .set(
            tx,
            (
                projects::owner_member_id.eq(None::<MemberId>),
                projects::version.eq(projects::version + 1),
                projects::updated_at.eq(now),
            ),
        )
        .execute()
        .await
}
