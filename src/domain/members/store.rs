//! All SQL of the members and of the people behind them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, NullableExpressionMethods, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{Nullable, Text, Uuid as SqlUuid},
};

use super::types::{Member, MemberFind, MemberStatus, Sight, User};
use crate::{
    db::{
        DbError, Person, TenantTx,
        tables::{group_members, members, role_grants, user_emails, users, workspace_members},
    },
    ids::{MemberId, UserId},
    keyset,
};

/// How a list is read: direction and where to go on.
pub(crate) struct Slice {
    /// The direction of reading: the order's, turned around when the page is read backward.
    pub(crate) descending: bool,
    pub(crate) after: Option<(DateTime<Utc>, MemberId)>,
    pub(crate) limit: i64,
}

/// Those of these members who are active. One statement.
pub(crate) async fn active_among(tx: &TenantTx, ids: &[MemberId]) -> Result<HashSet<MemberId>, DbError> {
    let found: Vec<MemberId> = members::in_tenant(tx)
        .filter(members::id.eq_any(ids.to_vec()))
        .filter(members::status.eq(MemberStatus::Active))
        .filter(members::deleted_at.is_null())
        .select(members::id)
        .load()
        .await?;
    Ok(found.into_iter().collect())
}

/// Adds to a boxed query over members which of them are there and seen.
macro_rules! seen {
    ($tx:expr, $query:expr, $sight:expr) => {{
        let mut query = $query.filter(members::deleted_at.is_null());
        match $sight {
            Sight::All => {}
            Sight::None => query = query.filter(members::id.eq_any(Vec::<MemberId>::new())),
            Sight::Within { workspaces, own } => {
                let belongs = workspace_members::in_tenant($tx)
                    .filter(workspace_members::workspace_id.eq_any(workspaces.clone()))
                    .select(workspace_members::member_id);
                let holds = role_grants::in_tenant($tx)
                    .filter(role_grants::workspace_id.assume_not_null().eq_any(workspaces.clone()))
                    .filter(role_grants::member_id.is_not_null())
                    .select(role_grants::member_id.assume_not_null());
                let groups = role_grants::in_tenant($tx)
                    .filter(role_grants::workspace_id.assume_not_null().eq_any(workspaces.clone()))
                    .filter(role_grants::group_id.is_not_null())
                    .select(role_grants::group_id.assume_not_null());
                let grouped = group_members::in_tenant($tx)
                    .filter(group_members::group_id.eq_any(groups.sub()))
                    .select(group_members::member_id);
                query = query.filter(
                    members::id
                        .eq_any(own.iter().copied().collect::<Vec<_>>())
                        .or(members::id.eq_any(belongs.sub()))
                        .or(members::id.eq_any(holds.sub()))
                        .or(members::id.eq_any(grouped.sub())),
                );
            }
        }
        query
    }};
}

/// Members with these ids, in no particular order. Unknown, foreign, removed and unseen ones are absent. One statement.
pub(crate) async fn find_many(tx: &TenantTx, ids: &[MemberId], sight: &Sight) -> Result<Vec<Member>, DbError> {
    let query = members::in_tenant(tx).into_boxed().filter(members::id.eq_any(ids.to_vec()));
    seen!(tx, query, sight).select(Member::as_select()).load().await
}

macro_rules! filtered {
    ($tx:expr, $find:expr, $sight:expr, $now:expr) => {{
        let (find, sight): (&MemberFind, &Sight) = ($find, $sight);
        let mut query = seen!($tx, members::in_tenant($tx).into_boxed(), sight);
        if let Some(status) = find.status {
            query = query.filter(members::status.eq(status));
        }
        if let Some(role) = find.role {
            let holders = role_grants::in_tenant($tx)
                .filter(role_grants::role_id.eq(role))
                .filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt($now)))
                .filter(role_grants::member_id.is_not_null())
                .select(role_grants::member_id.assume_not_null());
            let groups = role_grants::in_tenant($tx)
                .filter(role_grants::role_id.eq(role))
                .filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt($now)))
                .filter(role_grants::group_id.is_not_null())
                .select(role_grants::group_id.assume_not_null());
            let grouped = group_members::in_tenant($tx)
                .filter(group_members::group_id.eq_any(groups.sub()))
                .select(group_members::member_id);
            query = query.filter(members::id.eq_any(holders.sub()).or(members::id.eq_any(grouped.sub())));
        }
        query
    }};
}

/// One page of the members that the caller sees. One statement.
pub(crate) async fn page(
    tx: &TenantTx,
    find: &MemberFind,
    sight: &Sight,
    now: DateTime<Utc>,
    slice: Slice,
) -> Result<Vec<Member>, DbError> {
    let query = filtered!(tx, find, sight, now).select(Member::as_select()).limit(slice.limit);
    keyset!(query, members::created_at, members::id, slice.descending, slice.after).load().await
}

/// How many members the caller sees; counting stops behind `most`. One statement.
pub(crate) async fn count(
    tx: &TenantTx,
    find: &MemberFind,
    sight: &Sight,
    now: DateTime<Utc>,
    most: i64,
) -> Result<i64, DbError> {
    filtered!(tx, find, sight, now).select(members::id).count_up_to(most).await
}

/// The people behind the members that the caller sees. One statement.
///
/// It begins at the tenant's members: `users` is global, so a join is what keeps other tenants' people out.
pub(crate) async fn find_users(tx: &TenantTx, ids: &[UserId], sight: &Sight) -> Result<Vec<User>, DbError> {
    let address = user_emails::user_id
        .eq(users::id)
        .and(user_emails::is_primary.eq(true))
        .and(user_emails::verified_at.is_not_null());
    let query = members::in_tenant(tx)
        .inner_join(users::joined(users::id.eq(members::user_id)))
        .left_join(user_emails::joined(address))
        .into_boxed()
        .filter(members::user_id.eq_any(ids.to_vec()));
    let rows: Vec<(UserId, String, Option<String>)> =
        seen!(tx, query, sight).select((users::id, users::display_name, user_emails::email.nullable())).load().await?;
    Ok(rows.into_iter().map(|(id, display_name, email)| User { id, display_name, email }).collect())
}

/// The names that these members go by, where the caller sees them. One statement.
pub(crate) async fn names(
    tx: &TenantTx,
    ids: &[MemberId],
    sight: &Sight,
) -> Result<Vec<(MemberId, Option<String>, String)>, DbError> {
    let query = members::in_tenant(tx)
        .inner_join(users::joined(users::id.eq(members::user_id)))
        .into_boxed()
        .filter(members::id.eq_any(ids.to_vec()));
    seen!(tx, query, sight).select((members::id, members::display_name_override, users::display_name)).load().await
}

#[derive(QueryableByName)]
struct SelfRow {
    #[diesel(sql_type = SqlUuid)]
    id: UserId,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
}

/// The person of the transaction, seen by themselves. One statement.
pub(crate) async fn find_self(person: Person<'_>) -> Result<Option<User>, DbError> {
    let row: Option<SelfRow> = person
        .call(
            "SELECT u.id, u.display_name, e.email FROM users u \
             LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary AND e.verified_at IS NOT NULL \
             WHERE u.id = {}",
        )
        .bind::<SqlUuid, _>(person.user())
        .first()
        .await?;
    Ok(row.map(|row| User { id: row.id, display_name: row.display_name, email: row.email }))
}
