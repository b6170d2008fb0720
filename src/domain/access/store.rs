//! All SQL of explanations and reviews.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName,
    sql_types::{Array, BigInt, Binary, Int4, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    db::{
        DbError, TenantSql, TenantTx, WriteTx,
        tables::{export_tickets, groups, role_grants, roles, workspaces},
    },
    ids::{GroupId, MemberId, RoleGrantId, RoleId, WorkspaceId},
};

/// A role in a line of inheritance.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct HeirRow {
    /// The role that the line begins with.
    #[diesel(sql_type = SqlUuid)]
    pub(super) root: RoleId,
    #[diesel(sql_type = SqlUuid)]
    pub(super) role_id: RoleId,
    #[diesel(sql_type = Text)]
    pub(super) key: String,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Int4)]
    #[allow(dead_code, reason = "the order of the rows")]
    depth: i32,
}

const LINES: TenantSql = TenantSql::new(
    "WITH RECURSIVE chain (root, role_id, depth) AS ( \
       SELECT r.id, r.id, 0 FROM roles r WHERE r.tenant_id = {tenant} AND r.id = ANY ({}) \
       UNION \
       SELECT c.root, r.inherits_role_id, c.depth + 1 FROM chain c \
       JOIN roles r ON r.tenant_id = {tenant} AND r.id = c.role_id \
       WHERE r.inherits_role_id IS NOT NULL AND c.depth < 10) \
     SELECT c.root, c.role_id, r.key, r.name, c.depth FROM chain c \
     JOIN roles r ON r.tenant_id = {tenant} AND r.id = c.role_id ORDER BY c.root, c.depth",
);

/// These roles with all that they inherit from, each line in its order. One statement.
pub(super) async fn lines(tx: &TenantTx, ids: Vec<RoleId>) -> Result<Vec<HeirRow>, DbError> {
    tx.raw(LINES).bind::<Array<SqlUuid>, _>(ids).load().await
}

/// A workspace on the way up.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct PlaceRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: WorkspaceId,
    #[diesel(sql_type = Text)]
    pub(super) slug: String,
    #[diesel(sql_type = Int4)]
    #[allow(dead_code, reason = "the order of the rows")]
    depth: i32,
}

const UPWARDS: TenantSql = TenantSql::new(
    "WITH RECURSIVE up (id, parent, slug, depth) AS ( \
       SELECT w.id, w.parent_workspace_id, w.slug, 0 FROM workspaces w WHERE w.tenant_id = {tenant} AND w.id = {} \
       UNION \
       SELECT w.id, w.parent_workspace_id, w.slug, u.depth + 1 FROM up u \
       JOIN workspaces w ON w.tenant_id = {tenant} AND w.id = u.parent WHERE u.depth < 10) \
     SELECT id, slug, depth FROM up ORDER BY depth",
);

/// The workspace and its ancestors, upwards. One statement.
pub(super) async fn upwards(tx: &TenantTx, id: WorkspaceId) -> Result<Vec<PlaceRow>, DbError> {
    tx.raw(UPWARDS).bind::<SqlUuid, _>(id).load().await
}

/// Who gave these grants, and why. One statement.
pub(super) async fn givers(
    tx: &TenantTx,
    ids: Vec<RoleGrantId>,
) -> Result<Vec<(RoleGrantId, Option<MemberId>, Option<String>)>, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::id.eq_any(ids))
        .select((role_grants::id, role_grants::granted_by_member_id, role_grants::reason))
        .load()
        .await
}

/// The names of these groups. One statement.
pub(super) async fn group_names(tx: &TenantTx, ids: Vec<GroupId>) -> Result<Vec<(GroupId, String)>, DbError> {
    groups::in_tenant(tx).filter(groups::id.eq_any(ids)).select((groups::id, groups::name)).load().await
}

/// The keys of these roles. One statement.
pub(super) async fn role_keys(tx: &TenantTx, ids: Vec<RoleId>) -> Result<Vec<(RoleId, String)>, DbError> {
    roles::in_tenant(tx).filter(roles::id.eq_any(ids)).select((roles::id, roles::key)).load().await
}

/// The slugs of these workspaces. One statement.
pub(super) async fn slugs(tx: &TenantTx, ids: Vec<WorkspaceId>) -> Result<Vec<(WorkspaceId, String)>, DbError> {
    workspaces::in_tenant(tx).filter(workspaces::id.eq_any(ids)).select((workspaces::id, workspaces::slug)).load().await
}

/// Somebody to review.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct PersonRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
}

const MEMBERS: TenantSql = TenantSql::new(
    "SELECT m.id, coalesce(m.display_name_override, u.display_name) AS name FROM members m JOIN users u ON u.id = m.user_id \
     WHERE m.tenant_id = {tenant} AND m.status = 'active'",
);

const SERVICE_ACCOUNTS: TenantSql = TenantSql::new(
    "SELECT s.id, s.name FROM service_accounts s \
     WHERE s.tenant_id = {tenant} AND s.status = 'active'",
);

const API_KEYS: TenantSql = TenantSql::new(
    "SELECT k.id, k.name FROM api_keys k \
     WHERE k.tenant_id = {tenant} AND k.revoked_at IS NULL",
);

/// Which kind of principal a page of a review is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Active members.
    Member,
    /// Service accounts in use.
    ServiceAccount,
    /// API keys that were not revoked.
    ApiKey,
}

/// The next principals of this kind behind `after`, by id. One statement.
pub(super) async fn next(
    tx: &TenantTx,
    kind: Kind,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<PersonRow>, DbError> {
    let (sql, behind, page) = match kind {
        Kind::Member => (MEMBERS, " AND m.id > {}", " ORDER BY m.id LIMIT {}"),
        Kind::ServiceAccount => (SERVICE_ACCOUNTS, " AND s.id > {}", " ORDER BY s.id LIMIT {}"),
        Kind::ApiKey => (API_KEYS, " AND k.id > {}", " ORDER BY k.id LIMIT {}"),
    };
    tx.raw(sql).given::<SqlUuid, _>(behind, after).then(page).bind::<BigInt, _>(limit).load().await
}

/// Deletes the tickets that nobody has fetched in time. One statement.
pub(super) async fn delete_expired(tx: &WriteTx, now: DateTime<Utc>) -> Result<(), DbError> {
    export_tickets::in_tenant(tx).filter(export_tickets::expires_at.le(now)).delete(tx).execute().await.map(drop)
}

/// Stores a ticket. One statement.
pub(super) async fn insert_ticket(
    tx: &WriteTx,
    hash: [u8; 32],
    principal: String,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let row = (
        export_tickets::token_hash.eq(hash.to_vec()),
        export_tickets::kind.eq("access_review"),
        export_tickets::principal.eq(principal),
        export_tickets::expires_at.eq(expires_at),
        export_tickets::created_at.eq(now),
    );
    export_tickets::insert(tx, row).execute().await.map(drop)
}

const TAKE: TenantSql = TenantSql::new(
    "DELETE FROM export_tickets t \
     WHERE t.tenant_id = {tenant} AND t.token_hash = {} AND t.principal = {} AND t.expires_at > {}",
);

/// Takes a ticket, which is gone then; false if this principal has no such ticket now. One statement.
pub(super) async fn take_ticket(
    tx: &WriteTx,
    hash: [u8; 32],
    principal: String,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let taken = tx
        .raw(TAKE)
        .bind::<Binary, _>(hash.to_vec())
        .bind::<Text, _>(principal)
        .bind::<Timestamptz, _>(now)
        .execute()
        .await?;
    Ok(taken > 0)
}
