//! All SQL of the groups.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{Array, BigInt, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::types::{Group, GroupChanges, GroupMember, NewGroup};
use crate::{
    db::{
        DbError, TenantSql, TenantTx, WriteTx,
        tables::{group_members, groups},
    },
    ids::{GroupId, Id, MemberId},
    keyset,
};

/// How a list is read: direction and where to go on.
pub(super) struct Slice {
    pub(super) descending: bool,
    pub(super) after: Option<(DateTime<Utc>, GroupId)>,
    pub(super) limit: i64,
}

/// Groups with these ids, in no particular order. Unknown and foreign ids are absent. One statement.
pub(super) async fn find_many(tx: &TenantTx, ids: &[GroupId]) -> Result<Vec<Group>, DbError> {
    groups::in_tenant(tx).filter(groups::id.eq_any(ids.to_vec())).select(Group::as_select()).load().await
}

/// The group, locked until the end of the transaction. One statement.
pub(super) async fn lock(tx: &WriteTx, id: GroupId) -> Result<Option<Group>, DbError> {
    groups::in_tenant(tx).filter(groups::id.eq(id)).select(Group::as_select()).for_update().first().await
}

/// One page of the tenant's groups. One statement.
pub(super) async fn page(tx: &TenantTx, slice: Slice) -> Result<Vec<Group>, DbError> {
    let query = groups::in_tenant(tx).into_boxed().select(Group::as_select()).limit(slice.limit);
    keyset!(query, groups::created_at, groups::id, slice.descending, slice.after).load().await
}

/// How many groups the tenant has; counting stops behind `most`. One statement.
pub(super) async fn count(tx: &TenantTx, most: i64) -> Result<i64, DbError> {
    groups::in_tenant(tx).select(groups::id).count_up_to(most).await
}

/// Inserts one group. One statement.
pub(super) async fn insert(tx: &WriteTx, new: NewGroup) -> Result<Option<Group>, DbError> {
    groups::insert(tx, new).with(|insert| insert.returning(Group::as_returning())).first().await
}

/// Changes a group that is at `version` and gives its new form; `None` if it is at another. One statement.
pub(super) async fn update(
    tx: &WriteTx,
    id: GroupId,
    version: i32,
    changes: GroupChanges,
    now: DateTime<Utc>,
) -> Result<Option<Group>, DbError> {
    groups::in_tenant(tx)
        .filter(groups::id.eq(id))
        .filter(groups::version.eq(version))
        .set(tx, (changes, groups::version.eq(version + 1), groups::updated_at.eq(now)))
        .with(|update| update.returning(Group::as_returning()))
        .first()
        .await
}

/// Deletes a group with who was in it. One statement.
pub(super) async fn delete(tx: &WriteTx, id: GroupId) -> Result<(), DbError> {
    groups::in_tenant(tx).filter(groups::id.eq(id)).delete(tx).execute().await.map(drop)
}

/// Those of these members who are in the group. One statement.
pub(super) async fn members_among(
    tx: &TenantTx,
    group: GroupId,
    ids: &[MemberId],
) -> Result<HashSet<MemberId>, DbError> {
    let found: Vec<MemberId> = group_members::in_tenant(tx)
        .filter(group_members::group_id.eq(group))
        .filter(group_members::member_id.eq_any(ids.to_vec()))
        .select(group_members::member_id)
        .load()
        .await?;
    Ok(found.into_iter().collect())
}

#[derive(Insertable)]
#[diesel(table_name = group_members)]
struct NewMember {
    group_id: GroupId,
    member_id: MemberId,
    created_at: DateTime<Utc>,
}

/// Puts members into a group. One statement.
pub(super) async fn add(tx: &WriteTx, group: GroupId, ids: &[MemberId], now: DateTime<Utc>) -> Result<(), DbError> {
    let rows = ids.iter().map(|member| NewMember { group_id: group, member_id: *member, created_at: now });
    group_members::insert_many(tx, rows).execute().await.map(drop)
}

/// Takes members out of a group. One statement.
pub(super) async fn remove(tx: &WriteTx, group: GroupId, ids: &[MemberId]) -> Result<(), DbError> {
    group_members::in_tenant(tx)
        .filter(group_members::group_id.eq(group))
        .filter(group_members::member_id.eq_any(ids.to_vec()))
        .delete(tx)
        .execute()
        .await
        .map(drop)
}

/// How the members of a group are read: in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberSlice {
    pub(super) descending: bool,
    pub(super) after: Option<MemberId>,
    pub(super) limit: i64,
}

/// Members who have left the tenant are not there any more.
macro_rules! members_there {
    () => {
        "FROM group_members x JOIN members m ON m.tenant_id = {tenant} AND m.id = x.member_id \
         WHERE x.tenant_id = {tenant} AND x.group_id = parent.id AND m.deleted_at IS NULL"
    };
}

const MEMBERS: TenantSql = TenantSql::new(concat!(
    "SELECT parent.id AS parent_id, place.* FROM unnest({}::uuid[]) AS parent (id) CROSS JOIN LATERAL ( \
       SELECT x.member_id, x.created_at ",
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
    #[diesel(sql_type = SqlUuid)]
    member_id: MemberId,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct TotalRow {
    #[diesel(sql_type = SqlUuid)]
    parent_id: Uuid,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// One page of the members of each group, in reading order. One statement, whatever the number of groups.
pub(super) async fn members(
    tx: &TenantTx,
    parents: Vec<Uuid>,
    slice: &MemberSlice,
) -> Result<Vec<(Uuid, GroupMember)>, DbError> {
    let (behind, page) = match slice.descending {
        true => (" AND x.member_id < {}", " ORDER BY x.member_id DESC LIMIT {}) AS place"),
        false => (" AND x.member_id > {}", " ORDER BY x.member_id LIMIT {}) AS place"),
    };
    let raw = tx.raw(MEMBERS).bind::<Array<SqlUuid>, _>(parents).given::<SqlUuid, _>(behind, slice.after);
    let rows: Vec<MemberRow> = raw.then(page).bind::<BigInt, _>(slice.limit).load().await?;
    let place = |row: MemberRow| {
        let group_id = GroupId::from_uuid(row.parent_id);
        (row.parent_id, GroupMember { group_id, member_id: row.member_id, created_at: row.created_at })
    };
    Ok(rows.into_iter().map(place).collect())
}

/// How many members each group has; counting stops behind `most`. One statement.
pub(super) async fn count_members(tx: &TenantTx, parents: Vec<Uuid>, most: i64) -> Result<Vec<(Uuid, i64)>, DbError> {
    let raw = tx.raw(MEMBERS_COUNTED).bind::<Array<SqlUuid>, _>(parents).bind::<BigInt, _>(most + 1);
    let rows: Vec<TotalRow> = raw.load().await?;
    Ok(rows.into_iter().map(|row| (row.parent_id, row.total)).collect())
}
