//! All SQL of who holds which role.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, NullableExpressionMethods, QueryDsl, QueryableByName,
    SelectableHelper,
    sql_types::{Array, Bool, Nullable, Timestamptz, Uuid as SqlUuid},
};

use crate::{
    access::Reach,
    db::{
        DbError, TenantSql, TenantTx, WriteTx,
        tables::{group_members, role_grants},
    },
    domain::roles::types::{Grant, GrantFind, GrantPrincipal},
    ids::{GroupId, MemberId, RoleGrantId, RoleId, ServiceAccountId, WorkspaceId},
    keyset,
};

/// Which grants somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantSight {
    /// Those for the whole tenant.
    pub(crate) tenant_wide: bool,
    /// Those on these workspaces.
    pub(crate) workspaces: Reach,
}

impl GrantSight {
    /// Whether it shows a grant at this place.
    pub(crate) fn shows(&self, place: Option<WorkspaceId>) -> bool {
        place.map_or(self.tenant_wide, |workspace| self.workspaces.contains(workspace))
    }
}

/// Grants with these ids, in no particular order. Unknown and foreign ids are absent. One statement.
pub(crate) async fn find_many(tx: &TenantTx, ids: &[RoleGrantId]) -> Result<Vec<Grant>, DbError> {
    role_grants::in_tenant(tx).filter(role_grants::id.eq_any(ids.to_vec())).select(Grant::as_select()).load().await
}

/// The grant, locked until the end of the transaction. One statement.
pub(crate) async fn lock(tx: &WriteTx, id: RoleGrantId) -> Result<Option<Grant>, DbError> {
    role_grants::in_tenant(tx).filter(role_grants::id.eq(id)).select(Grant::as_select()).for_update().first().await
}

const OF_MEMBERS: TenantSql = TenantSql::new(
    "SELECT held.* FROM unnest({}::uuid[]) AS holder (id) CROSS JOIN LATERAL ( \
       SELECT g.id, g.member_id, g.group_id, g.service_account_id, g.role_id, g.workspace_id, g.expires_at, \
              g.granted_by_member_id, g.reason, g.created_at \
       FROM role_grants g WHERE g.tenant_id = {tenant} AND g.member_id = holder.id AND (g.expires_at IS NULL OR g.expires_at > {}) \
       ORDER BY (g.workspace_id IS NOT NULL), g.created_at, g.id LIMIT 20) AS held",
);

/// What these members hold at the instant `now`, 20 of each: tenant-wide grants first, then the oldest first. One statement.
pub(crate) async fn of_members(tx: &TenantTx, members: &[MemberId], now: DateTime<Utc>) -> Result<Vec<Grant>, DbError> {
    tx.raw(OF_MEMBERS).bind::<Array<SqlUuid>, _>(members.to_vec()).bind::<Timestamptz, _>(now).load().await
}

/// What a group holds at the instant `now`. One statement.
pub(crate) async fn of_group(tx: &TenantTx, group: GroupId, now: DateTime<Utc>) -> Result<Vec<Grant>, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::group_id.eq(group))
        .filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt(now)))
        .select(Grant::as_select())
        .load()
        .await
}

/// How a list is read: direction and where to go on.
pub(crate) struct Slice {
    pub(crate) descending: bool,
    pub(crate) after: Option<(DateTime<Utc>, RoleGrantId)>,
    pub(crate) limit: i64,
}

macro_rules! filtered {
    ($tx:expr, $find:expr, $sight:expr, $now:expr) => {{
        let (find, sight, now): (&GrantFind, &GrantSight, DateTime<Utc>) = ($find, $sight, $now);
        let mut query = role_grants::in_tenant($tx).into_boxed();
        let place = role_grants::workspace_id;
        query = match (find.workspace, &sight.workspaces, sight.tenant_wide) {
            (Some(workspace), seen, _) if seen.contains(workspace) => query.filter(place.eq(workspace)),
            (Some(_), ..) | (None, Reach::None, false) => {
                query.filter(role_grants::id.eq_any(Vec::<RoleGrantId>::new()))
            }
            (None, Reach::All, true) => query,
            (None, Reach::All, false) => query.filter(place.is_not_null()),
            (None, Reach::AllExcept(hidden), true) => {
                query.filter(place.is_null().or(place.assume_not_null().ne_all(hidden.clone())))
            }
            (None, Reach::AllExcept(hidden), false) => query.filter(place.assume_not_null().ne_all(hidden.clone())),
            (None, Reach::Only(seen), true) => {
                query.filter(place.is_null().or(place.assume_not_null().eq_any(seen.clone())))
            }
            (None, Reach::Only(seen), false) => query.filter(place.assume_not_null().eq_any(seen.clone())),
            (None, Reach::None, true) => query.filter(place.is_null()),
        };
        query = match find.principal {
            None => query,
            Some(GrantPrincipal::Member(id)) => query.filter(role_grants::member_id.eq(id)),
            Some(GrantPrincipal::Group(id)) => query.filter(role_grants::group_id.eq(id)),
            Some(GrantPrincipal::ServiceAccount(id)) => query.filter(role_grants::service_account_id.eq(id)),
        };
        if let Some(role) = find.role {
            query = query.filter(role_grants::role_id.eq(role));
        }
        match find.is_active {
            None => query,
            Some(true) => query.filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt(now))),
            Some(false) => query.filter(role_grants::expires_at.le(now)),
        }
    }};
}

/// One page of the grants that are seen. One statement.
pub(crate) async fn page(
    tx: &TenantTx,
    find: &GrantFind,
    sight: &GrantSight,
    now: DateTime<Utc>,
    slice: Slice,
) -> Result<Vec<Grant>, DbError> {
    let query = filtered!(tx, find, sight, now).select(Grant::as_select()).limit(slice.limit);
    keyset!(query, role_grants::created_at, role_grants::id, slice.descending, slice.after).load().await
}

/// How many grants are seen; counting stops behind `most`. One statement.
pub(crate) async fn count(
    tx: &TenantTx,
    find: &GrantFind,
    sight: &GrantSight,
    now: DateTime<Utc>,
    most: i64,
) -> Result<i64, DbError> {
    filtered!(tx, find, sight, now).select(role_grants::id).count_up_to(most).await
}

/// What a member holds at the instant `now`: everywhere, or on this very workspace. One statement.
pub(crate) async fn of_member(
    tx: &TenantTx,
    member: MemberId,
    workspace: Option<WorkspaceId>,
    now: DateTime<Utc>,
) -> Result<Vec<Grant>, DbError> {
    let mut query = role_grants::in_tenant(tx)
        .into_boxed()
        .filter(role_grants::member_id.eq(member))
        .filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt(now)));
    if let Some(workspace) = workspace {
        query = query.filter(role_grants::workspace_id.eq(workspace));
    }
    query.select(Grant::as_select()).load().await
}

/// The members of a group. One statement.
pub(crate) async fn members_of_group(tx: &TenantTx, group: GroupId) -> Result<Vec<MemberId>, DbError> {
    group_members::in_tenant(tx).filter(group_members::group_id.eq(group)).select(group_members::member_id).load().await
}

/// A grant to be made, checked.
#[derive(Insertable)]
#[diesel(table_name = role_grants)]
pub(crate) struct NewGrant {
    pub(crate) id: RoleGrantId,
    pub(crate) member_id: Option<MemberId>,
    pub(crate) group_id: Option<GroupId>,
    pub(crate) service_account_id: Option<ServiceAccountId>,
    pub(crate) role_id: RoleId,
    pub(crate) workspace_id: Option<WorkspaceId>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) granted_by_member_id: Option<MemberId>,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// Inserts one grant. One statement.
pub(crate) async fn insert(tx: &WriteTx, new: NewGrant) -> Result<Option<Grant>, DbError> {
    role_grants::insert(tx, new).with(|insert| insert.returning(Grant::as_returning())).first().await
}

/// Changes the end and the reason of a grant. One statement.
pub(crate) async fn update(
    tx: &WriteTx,
    id: RoleGrantId,
    expires_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    now: DateTime<Utc>,
) -> Result<Option<Grant>, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::id.eq(id))
        .set(
            tx,
            (role_grants::expires_at.eq(expires_at), role_grants::reason.eq(reason), role_grants::updated_at.eq(now)),
        )
        .with(|update| update.returning(Grant::as_returning()))
        .first()
        .await
}

/// Deletes one grant. One statement.
pub(crate) async fn delete(tx: &WriteTx, id: RoleGrantId) -> Result<(), DbError> {
    role_grants::in_tenant(tx).filter(role_grants::id.eq(id)).delete(tx).execute().await.map(drop)
}

/// Deletes every grant of a group. One statement.
pub(crate) async fn delete_of_group(tx: &WriteTx, group: GroupId) -> Result<(), DbError> {
    role_grants::in_tenant(tx).filter(role_grants::group_id.eq(group)).delete(tx).execute().await.map(drop)
}

/// Deletes every grant of a service account. One statement.
pub(crate) async fn delete_of_service_account(tx: &WriteTx, account: ServiceAccountId) -> Result<usize, DbError> {
    role_grants::in_tenant(tx).filter(role_grants::service_account_id.eq(account)).delete(tx).execute().await
}

/// Where a role is granted, and whether the holder has the replacement there, too.
#[derive(QueryableByName)]
pub(crate) struct PlaceOfGrant {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) workspace_id: Option<WorkspaceId>,
    #[diesel(sql_type = Bool)]
    pub(crate) is_twin: bool,
}

/// The grants of the same principal at the same place.
macro_rules! twin {
    () => {
        "t.tenant_id = {tenant} AND (t.member_id, t.group_id, t.service_account_id, t.workspace_id) \
           IS NOT DISTINCT FROM (g.member_id, g.group_id, g.service_account_id, g.workspace_id)"
    };
}

const PLACES: TenantSql = TenantSql::new(concat!(
    "SELECT DISTINCT g.workspace_id, EXISTS (SELECT FROM role_grants t WHERE t.role_id = {}::uuid AND ",
    twin!(),
    ") AS is_twin FROM role_grants g \
     WHERE g.tenant_id = {tenant} AND g.role_id = {} AND (g.expires_at IS NULL OR g.expires_at > {})"
));

/// The places where a role is held at the instant `now`, each once, or twice where some holders have the other role there
/// already. One statement.
pub(crate) async fn places_of_grants(
    tx: &WriteTx,
    role: RoleId,
    other: Option<RoleId>,
    now: DateTime<Utc>,
) -> Result<Vec<PlaceOfGrant>, DbError> {
    tx.raw(PLACES).bind::<Nullable<SqlUuid>, _>(other).bind::<SqlUuid, _>(role).bind::<Timestamptz, _>(now).load().await
}

const MOVE: TenantSql = TenantSql::new(concat!(
    "UPDATE role_grants g SET role_id = {}, updated_at = {} WHERE g.tenant_id = {tenant} AND g.role_id = {} \
     AND NOT EXISTS (SELECT FROM role_grants t WHERE t.role_id = {} AND ",
    twin!(),
    ")"
));

/// Makes the grants of one role grants of another, end and reason kept, except where the holder has that other there
/// already. One statement.
pub(crate) async fn move_grants(tx: &WriteTx, from: RoleId, to: RoleId, now: DateTime<Utc>) -> Result<usize, DbError> {
    tx.raw(MOVE)
        .bind::<SqlUuid, _>(to)
        .bind::<Timestamptz, _>(now)
        .bind::<SqlUuid, _>(from)
        .bind::<SqlUuid, _>(to)
        .execute()
        .await
}

/// Deletes what is left of the grants of a role. One statement.
pub(crate) async fn delete_grants_of(tx: &WriteTx, role: RoleId) -> Result<(), DbError> {
    role_grants::in_tenant(tx).filter(role_grants::role_id.eq(role)).delete(tx).execute().await.map(drop)
}

/// A workspace on the way up, and whether it is private.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(crate) struct Ancestor {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) id: WorkspaceId,
    #[diesel(sql_type = Bool)]
    pub(crate) is_private: bool,
}

const LINE: TenantSql = TenantSql::new(
    "WITH RECURSIVE up (id, parent, is_private, depth) AS ( \
       SELECT w.id, w.parent_workspace_id, w.visibility = 'private', 0 FROM workspaces w \
       WHERE w.tenant_id = {tenant} AND w.id = {} \
       UNION \
       SELECT w.id, w.parent_workspace_id, w.visibility = 'private', u.depth + 1 FROM up u \
       JOIN workspaces w ON w.tenant_id = {tenant} AND w.id = u.parent WHERE u.depth < 10) \
     SELECT id, is_private FROM up",
);

/// The workspace and its ancestors. One statement.
pub(crate) async fn line(tx: &TenantTx, workspace: WorkspaceId) -> Result<Vec<Ancestor>, DbError> {
    tx.raw(LINE).bind::<SqlUuid, _>(workspace).load().await
}

/// The roles that are held on one of these workspaces at the instant `now`, each once. One statement.
pub(crate) async fn roles_on(
    tx: &TenantTx,
    workspaces: Vec<WorkspaceId>,
    now: DateTime<Utc>,
) -> Result<Vec<RoleId>, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::workspace_id.assume_not_null().eq_any(workspaces))
        .filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt(now)))
        .select(role_grants::role_id)
        .distinct()
        .load()
        .await
}

/// The roles that are held in the whole tenant at the instant `now`, each once. One statement.
pub(crate) async fn roles_of_tenant(tx: &TenantTx, now: DateTime<Utc>) -> Result<Vec<RoleId>, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::workspace_id.is_null())
        .filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt(now)))
        .select(role_grants::role_id)
        .distinct()
        .load()
        .await
}
