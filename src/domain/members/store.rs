//! All SQL of the members and of the people behind them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, NullableExpressionMethods, QueryDsl, QueryableByName, SelectableHelper,
    dsl::count_star,
    sql_types::{Array, Nullable, Text, Uuid as SqlUuid},
};

use super::types::{Member, MemberFind, MemberStatus, Sight, User};
use crate::{
    db::{
        DbError, Person, TenantTx, WriteTx,
        tables::{
            group_members, members, role_grants, roles, search_terms, service_accounts, user_emails, users,
            workspace_members,
        },
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

#[derive(QueryableByName)]
struct Terms {
    #[diesel(sql_type = Array<Text>)]
    terms: Vec<String>,
}

/// The terms that a member must all have to be found by this text, each once. One statement.
pub(crate) async fn search_terms(tx: &TenantTx, text: String) -> Result<Vec<String>, DbError> {
    let row: Option<Terms> = tx.call("SELECT app.search_terms_for({}) AS terms").bind::<Text, _>(text).first().await?;
    Ok(row.map(|row| row.terms).unwrap_or_default())
}

/// The owners among these members. One statement.
pub(crate) async fn owners_among(tx: &TenantTx, ids: &[MemberId]) -> Result<HashSet<MemberId>, DbError> {
    let found: Vec<MemberId> = role_grants::in_tenant(tx)
        .inner_join(roles::joined(roles::id.eq(role_grants::role_id)))
        .filter(role_grants::member_id.assume_not_null().eq_any(ids.to_vec()))
        .filter(role_grants::workspace_id.is_null())
        .filter(roles::key.eq("owner"))
        .filter(roles::is_system.eq(true))
        .select(role_grants::member_id.assume_not_null())
        .load()
        .await?;
    Ok(found.into_iter().collect())
}

/// The member, locked until the end of the transaction; `None` if unknown, foreign or removed. One statement.
pub(crate) async fn lock(tx: &WriteTx, id: MemberId) -> Result<Option<Member>, DbError> {
    members::in_tenant(tx)
        .filter(members::id.eq(id))
        .filter(members::deleted_at.is_null())
        .select(Member::as_select())
        .for_update()
        .first()
        .await
}

/// Sets where a member stands. One statement.
pub(crate) async fn set_status(
    tx: &WriteTx,
    member: &Member,
    status: MemberStatus,
    now: DateTime<Utc>,
) -> Result<Option<Member>, DbError> {
    let deleted_at = (status == MemberStatus::Removed).then_some(now);
    members::in_tenant(tx)
        .filter(members::id.eq(member.id))
        .set(
            tx,
            (
                members::status.eq(status),
                members::deleted_at.eq(deleted_at),
                members::version.eq(member.version + 1),
                members::updated_at.eq(now),
            ),
        )
        .with(|update| update.returning(Member::as_returning()))
        .first()
        .await
}

/// Sets the name that a member goes by. One statement.
pub(crate) async fn set_name(
    tx: &WriteTx,
    member: &Member,
    name: Option<String>,
    now: DateTime<Utc>,
) -> Result<Option<Member>, DbError> {
    members::in_tenant(tx)
        .filter(members::id.eq(member.id))
        .set(
            tx,
            (
                members::display_name_override.eq(name),
                members::version.eq(member.version + 1),
                members::updated_at.eq(now),
            ),
        )
        .with(|update| update.returning(Member::as_returning()))
        .first()
        .await
}

/// Takes every grant from a member. One statement.
pub(crate) async fn delete_grants(tx: &WriteTx, member: MemberId) -> Result<usize, DbError> {
    role_grants::in_tenant(tx).filter(role_grants::member_id.eq(member)).delete(tx).execute().await
}

/// Takes a member out of every group. One statement.
pub(crate) async fn delete_from_groups(tx: &WriteTx, member: MemberId) -> Result<usize, DbError> {
    group_members::in_tenant(tx).filter(group_members::member_id.eq(member)).delete(tx).execute().await
}

/// Takes the service accounts from a member whom to ask about them; gives their number. One statement.
pub(crate) async fn orphan_service_accounts(
    tx: &WriteTx,
    member: MemberId,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    service_accounts::in_tenant(tx)
        .filter(service_accounts::owner_member_id.eq(member))
        .set(
            tx,
            (
                service_accounts::owner_member_id.eq(None::<MemberId>),
                service_accounts::version.eq(service_accounts::version + 1),
                service_accounts::updated_at.eq(now),
            ),
        )
        .execute()
        .await
}

/// Takes a member out of every workspace. One statement.
pub(crate) async fn delete_places(tx: &WriteTx, member: MemberId) -> Result<usize, DbError> {
    workspace_members::in_tenant(tx).filter(workspace_members::member_id.eq(member)).delete(tx).execute().await
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
        if let Some(terms) = &find.terms {
            // By equality alone: a leakproof operator, so that the terms are conditions of the index. Who has them all, has
            // as many rows as there are terms.
            let all = i64::try_from(terms.len()).unwrap_or(i64::MAX);
            let found = search_terms::in_tenant($tx)
                .filter(search_terms::kind.eq("member"))
                .filter(search_terms::term.eq_any(terms.clone()))
                .with(|query| {
                    query.group_by(search_terms::target_id).select(search_terms::target_id).having(count_star().eq(all))
                });
            query = query.filter(members::id.eq_any(found.sub()));
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
