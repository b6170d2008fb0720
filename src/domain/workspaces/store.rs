//! All SQL of the workspaces.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    sight::Sight,
    types::{NewWorkspace, Visibility, Workspace, WorkspaceChanges, WorkspaceFind, WorkspaceMember, WorkspaceSort},
};
use crate::{
    access::Reach,
    db::{
        DbError, Raw, TenantSql, TenantTx, WriteTx,
        tables::{role_grants, workspace_members, workspaces},
    },
    ids::{Id, MemberId, WorkspaceId, WorkspaceMemberId},
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
    /// Where this workspace stands in the order.
    pub fn of(workspace: &Workspace, sort: WorkspaceSort) -> Self {
        match sort {
            WorkspaceSort::CreatedAt => Self::CreatedAt(workspace.created_at),
            WorkspaceSort::Name => Self::Name(workspace.name.clone()),
        }
    }
}

/// How a list is read: order, direction and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    pub(crate) sort: WorkspaceSort,
    /// The direction of reading: the order's, turned around when the page is read backward.
    pub(crate) descending: bool,
    pub(crate) after: Option<(Place, WorkspaceId)>,
    pub(crate) limit: i64,
}

/// Workspaces with these ids, whoever may see them, in no particular order. One statement.
pub(crate) async fn find_many(tx: &TenantTx, ids: &[WorkspaceId]) -> Result<Vec<Workspace>, DbError> {
    workspaces::in_tenant(tx)
        .filter(workspaces::id.eq_any(ids.to_vec()))
        .filter(workspaces::deleted_at.is_null())
        .select(Workspace::as_select())
        .load()
        .await
}

/// The workspace, locked until the end of the transaction. One statement.
pub(crate) async fn lock(tx: &WriteTx, id: WorkspaceId) -> Result<Option<Workspace>, DbError> {
    workspaces::in_tenant(tx)
        .filter(workspaces::id.eq(id))
        .filter(workspaces::deleted_at.is_null())
        .select(Workspace::as_select())
        .for_update()
        .first()
        .await
}

/// The workspace, kept as it is until the end of the transaction. One statement.
pub(crate) async fn hold(tx: &WriteTx, id: WorkspaceId) -> Result<Option<Workspace>, DbError> {
    workspaces::in_tenant(tx)
        .filter(workspaces::id.eq(id))
        .filter(workspaces::deleted_at.is_null())
        .select(Workspace::as_select())
        .for_share()
        .first()
        .await
}

/// Those of these slugs that a workspace has, whoever may see it. One statement.
pub(crate) async fn taken_among(tx: &TenantTx, slugs: &[String]) -> Result<Vec<String>, DbError> {
    workspaces::in_tenant(tx)
        .filter(workspaces::slug.eq_any(slugs.to_vec()))
        .filter(workspaces::deleted_at.is_null())
        .select(workspaces::slug)
        .load()
        .await
}

macro_rules! filtered {
    ($tx:expr, $find:expr, $sight:expr) => {{
        let (find, sight): (&WorkspaceFind, &Sight) = ($find, $sight);
        let mut query = workspaces::in_tenant($tx).filter(workspaces::deleted_at.is_null()).into_boxed();
        match &sight.reach {
            Reach::All => {}
            Reach::AllExcept(hidden) => query = query.filter(workspaces::id.ne_all(hidden.clone())),
            Reach::Only(visible) => query = query.filter(workspaces::id.eq_any(visible.clone())),
            Reach::None => query = query.filter(workspaces::id.eq_any(Vec::<WorkspaceId>::new())),
        }
        if let Some(granted) = &sight.private {
            let open = workspaces::visibility.eq(Visibility::Tenant);
            query = query.filter(open.or(workspaces::id.eq_any(granted.clone())));
        }
        match find.is_archived {
            Some(true) => query = query.filter(workspaces::archived_at.is_not_null()),
            Some(false) => query = query.filter(workspaces::archived_at.is_null()),
            None => {}
        }
        if let Some(parent) = find.parent {
            query = query.filter(workspaces::parent_workspace_id.eq(parent));
        }
        query
    }};
}

/// One page of the workspaces that are seen. One statement.
pub(crate) async fn page(
    tx: &TenantTx,
    find: &WorkspaceFind,
    sight: &Sight,
    slice: Slice,
) -> Result<Vec<Workspace>, DbError> {
    let query = filtered!(tx, find, sight).select(Workspace::as_select()).limit(slice.limit);
    let (after, descending) = (slice.after, slice.descending);
    match slice.sort {
        WorkspaceSort::CreatedAt => {
            let after = after.and_then(|(place, id)| match place {
                Place::CreatedAt(at) => Some((at, id)),
                Place::Name(_) => None,
            });
            keyset!(query, workspaces::created_at, workspaces::id, descending, after).load().await
        }
        WorkspaceSort::Name => {
            let after = after.and_then(|(place, id)| match place {
                Place::Name(name) => Some((name, id)),
                Place::CreatedAt(_) => None,
            });
            keyset!(query, workspaces::name, workspaces::id, descending, after).load().await
        }
    }
}

/// How many workspaces are seen; counting stops behind `most`. One statement.
pub(crate) async fn count(tx: &TenantTx, find: &WorkspaceFind, sight: &Sight, most: i64) -> Result<i64, DbError> {
    filtered!(tx, find, sight).select(workspaces::id).count_up_to(most).await
}

/// One index range for each parent, cut at the limit before rows are joined.
const CHILDREN: TenantSql = TenantSql::new(
    "SELECT parent.id AS parent_id, child.* FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT w.id, w.slug, w.name, w.description, w.is_default, w.parent_workspace_id, w.visibility, w.archived_at, \
              w.settings, w.version, w.created_at, w.updated_at \
       FROM workspaces w WHERE w.tenant_id = {tenant} AND w.parent_workspace_id = parent.id AND w.deleted_at IS NULL",
);

const CHILDREN_COUNTED: TenantSql = TenantSql::new(
    "SELECT parent.id AS parent_id, counted.total FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT count(*) AS total FROM (SELECT FROM workspaces w \
         WHERE w.tenant_id = {tenant} AND w.parent_workspace_id = parent.id AND w.deleted_at IS NULL",
);

#[derive(QueryableByName)]
struct ChildRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(embed)]
    child: Workspace,
}

/// The number of something under a parent.
#[derive(QueryableByName)]
struct TotalRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// A statement over the workspaces under these parents: the same conditions as in [`page`].
fn under<'t>(tx: &'t TenantTx, sql: TenantSql, mut parents: Vec<Uuid>, find: &WorkspaceFind, sight: &Sight) -> Raw<'t> {
    let (only, except) = sight.reach.bounds();
    parents.retain(|id| find.parent.is_none_or(|parent| parent.uuid() == *id));
    let raw = tx
        .raw(sql)
        .bind::<Array<SqlUuid>, _>(parents)
        .given::<Array<SqlUuid>, _>(" AND w.id = ANY ({})", only)
        .given::<Array<SqlUuid>, _>(" AND w.id <> ALL ({})", except)
        .given::<Array<SqlUuid>, _>(" AND (w.visibility = 'tenant' OR w.id = ANY ({}))", sight.private.clone());
    match find.is_archived {
        None => raw,
        Some(true) => raw.then(" AND w.archived_at IS NOT NULL"),
        Some(false) => raw.then(" AND w.archived_at IS NULL"),
    }
}

/// One page of the workspaces seen under each parent, in reading order. One statement, whatever the number of parents.
pub(crate) async fn children(
    tx: &TenantTx,
    parents: Vec<Uuid>,
    find: &WorkspaceFind,
    sight: &Sight,
    slice: &Slice,
) -> Result<Vec<(Uuid, Workspace)>, DbError> {
    let text = match slice.sort {
        WorkspaceSort::CreatedAt => keyset_text!("w.created_at", "w.id", slice.descending),
        WorkspaceSort::Name => keyset_text!("w.name", "w.id", slice.descending),
    };
    let mut raw = under(tx, CHILDREN, parents, find, sight);
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

/// How many workspaces are seen under each parent; counting stops behind `most`. One statement.
pub(crate) async fn count_children(
    tx: &TenantTx,
    parents: Vec<Uuid>,
    find: &WorkspaceFind,
    sight: &Sight,
    most: i64,
) -> Result<Vec<(Uuid, i64)>, DbError> {
    let raw = under(tx, CHILDREN_COUNTED, parents, find, sight);
    let raw = raw.then(" LIMIT {}) AS child) AS counted").bind::<BigInt, _>(most + 1);
    let rows: Vec<TotalRow> = raw.load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.total)).collect())
}

/// Inserts one workspace. One statement.
pub(crate) async fn insert(tx: &WriteTx, new: NewWorkspace) -> Result<Option<Workspace>, DbError> {
    workspaces::insert(tx, new).with(|insert| insert.returning(Workspace::as_returning())).first().await
}

/// Changes a workspace that is at `version` and gives its new form; `None` if it is at another. One statement.
pub(crate) async fn update(
    tx: &WriteTx,
    id: WorkspaceId,
    version: i32,
    changes: WorkspaceChanges,
    now: DateTime<Utc>,
) -> Result<Option<Workspace>, DbError> {
    workspaces::in_tenant(tx)
        .filter(workspaces::id.eq(id))
        .filter(workspaces::version.eq(version))
        .set(tx, (changes, workspaces::version.eq(version + 1), workspaces::updated_at.eq(now)))
        .with(|update| update.returning(Workspace::as_returning()))
        .first()
        .await
}

/// How the members of a workspace are read: by the time they were added.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberSlice {
    pub(crate) descending: bool,
    pub(crate) after: Option<(DateTime<Utc>, WorkspaceMemberId)>,
    pub(crate) limit: i64,
}

/// Members who have left the tenant are not there any more.
macro_rules! members_there {
    () => {
        "FROM workspace_members p JOIN members m ON m.tenant_id = {tenant} AND m.id = p.member_id \
         WHERE p.tenant_id = {tenant} AND p.workspace_id = parent.id AND m.deleted_at IS NULL"
    };
}

const MEMBERS: TenantSql = TenantSql::new(concat!(
    "SELECT parent.id AS parent_id, place.* FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT p.id, p.member_id, p.created_at ",
    members_there!(),
));

const MEMBERS_COUNTED: TenantSql = TenantSql::new(concat!(
    "SELECT parent.id AS parent_id, counted.total FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT count(*) AS total FROM (SELECT ",
    members_there!(),
    " LIMIT {}) AS place) AS counted"
));

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(embed)]
    place: WorkspaceMember,
}

/// One page of the members of each workspace, in reading order. One statement, whatever the number of workspaces.
pub(crate) async fn members(
    tx: &TenantTx,
    parents: Vec<Uuid>,
    slice: &MemberSlice,
) -> Result<Vec<(Uuid, WorkspaceMember)>, DbError> {
    let text = keyset_text!("p.created_at", "p.id", slice.descending);
    let mut raw = tx.raw(MEMBERS).bind::<Array<SqlUuid>, _>(parents);
    if let Some((at, id)) = slice.after {
        raw = raw.then(text.behind).bind::<Timestamptz, _>(at).bind::<SqlUuid, _>(id);
    }
    let rows: Vec<MemberRow> = raw.then(text.page).bind::<BigInt, _>(slice.limit).then(") AS place").load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.place)).collect())
}

/// How many members each workspace has; counting stops behind `most`. One statement.
pub(crate) async fn count_members(tx: &TenantTx, parents: Vec<Uuid>, most: i64) -> Result<Vec<(Uuid, i64)>, DbError> {
    let raw = tx.raw(MEMBERS_COUNTED).bind::<Array<SqlUuid>, _>(parents);
    let rows: Vec<TotalRow> = raw.bind::<BigInt, _>(most + 1).load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.total)).collect())
}

/// The place with this id, and its workspace. One statement.
pub(crate) async fn find_place(
    tx: &TenantTx,
    id: WorkspaceMemberId,
) -> Result<Option<(WorkspaceId, WorkspaceMember)>, DbError> {
    workspace_members::in_tenant(tx)
        .filter(workspace_members::id.eq(id))
        .select((workspace_members::workspace_id, WorkspaceMember::as_select()))
        .first()
        .await
}

/// Gives a member a place in a workspace. One statement.
pub(crate) async fn insert_place(
    tx: &WriteTx,
    workspace: WorkspaceId,
    member: MemberId,
    now: DateTime<Utc>,
) -> Result<Option<WorkspaceMember>, DbError> {
    let row = (
        workspace_members::id.eq(WorkspaceMemberId::new(now)),
        workspace_members::workspace_id.eq(workspace),
        workspace_members::member_id.eq(member),
        workspace_members::created_at.eq(now),
        workspace_members::updated_at.eq(now),
    );
    workspace_members::insert(tx, row).with(|insert| insert.returning(WorkspaceMember::as_returning())).first().await
}

/// Takes a member's place in a workspace. One statement.
pub(crate) async fn delete_place(tx: &WriteTx, workspace: WorkspaceId, member: MemberId) -> Result<usize, DbError> {
    workspace_members::in_tenant(tx)
        .filter(workspace_members::workspace_id.eq(workspace))
        .filter(workspace_members::member_id.eq(member))
        .delete(tx)
        .execute()
        .await
}

/// Takes the roles that a member was given on this very workspace. One statement.
pub(crate) async fn delete_grants(tx: &WriteTx, workspace: WorkspaceId, member: MemberId) -> Result<usize, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::workspace_id.eq(workspace))
        .filter(role_grants::member_id.eq(member))
        .delete(tx)
        .execute()
        .await
}
