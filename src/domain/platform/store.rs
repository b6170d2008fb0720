//! The SQL of operators.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName,
    sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};

use super::types::{CreatedTenant, NewTenant, TenantLine};
use crate::{
    db::{
        DbError, PlatformTx, WriteTx,
        tables::{members, role_grants, roles, tenants},
    },
    ids::{MemberId, RequestId, RoleGrantId, RoleId, TenantId, UserId, WorkspaceId, uuid_v7},
};

/// Creates a complete tenant. One statement.
pub(super) async fn create_tenant(
    tx: &WriteTx,
    new: NewTenant,
    ids: &CreatedTenant,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tx.call("SELECT app.tenant_create({}, {}, {}, {}, {}, {}, {}, {})")
        .bind::<SqlUuid, _>(ids.tenant)
        .bind::<Text, _>(new.slug)
        .bind::<Text, _>(new.name)
        .bind::<SqlUuid, _>(new.owner)
        .bind::<SqlUuid, _>(ids.owner)
        .bind::<SqlUuid, _>(ids.workspace)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(new.plan)
        .execute()
        .await
        .map(drop)
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = SqlUuid)]
    id: TenantId,
    #[diesel(sql_type = Text)]
    slug: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

/// Tenants by slug, at most `limit`, behind `after`. One statement.
pub(super) async fn list(tx: &PlatformTx, after: String, limit: i64) -> Result<Vec<TenantLine>, DbError> {
    let lines: Vec<Line> = tx
        .call("SELECT id, slug, name, status, created_at FROM tenants WHERE slug > {} ORDER BY slug LIMIT {}")
        .bind::<Text, _>(after)
        .bind::<BigInt, _>(limit)
        .load()
        .await?;
    let line = |line: Line| TenantLine {
        id: line.id,
        slug: line.slug,
        name: line.name,
        status: line.status,
        created_at: line.created_at,
    };
    Ok(lines.into_iter().map(line).collect())
}

/// Records what an operator did across tenants. One statement.
pub(super) async fn record(
    tx: &PlatformTx,
    at: DateTime<Utc>,
    label: String,
    action: &'static str,
    request: RequestId,
    detail: serde_json::Value,
) -> Result<(), DbError> {
    tx.call("SELECT app.platform_audit_append({}, {}, NULL, {}, {}, 'success', 'cli', NULL, NULL, {}, {})")
        .bind::<SqlUuid, _>(uuid_v7(at))
        .bind::<Timestamptz, _>(at)
        .bind::<Text, _>(label)
        .bind::<Text, _>(action)
        .bind::<SqlUuid, _>(request.uuid())
        .bind::<Jsonb, _>(detail)
        .execute()
        .await
        .map(drop)
}

/// Sets the tenant's status if it has the expected one. One statement.
pub(super) async fn change_status(
    tx: &WriteTx,
    from: &'static str,
    to: &'static str,
    suspended: Option<(DateTime<Utc>, String)>,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let (at, reason) = suspended.unzip();
    tenants::in_tenant(tx)
        .filter(tenants::status.eq(from))
        .set(
            tx,
            (
                tenants::status.eq(to),
                tenants::suspended_at.eq(at),
                tenants::suspended_reason.eq(reason),
                tenants::updated_at.eq(now),
            ),
        )
        .execute()
        .await
}

/// Roles of the transaction's tenant with these keys. One statement.
pub(super) async fn roles_by_key(tx: &WriteTx, keys: &[String]) -> Result<Vec<(String, RoleId)>, DbError> {
    roles::in_tenant(tx)
        .filter(roles::key.eq_any(keys.to_vec()))
        .filter(roles::deleted_at.is_null())
        .select((roles::key, roles::id))
        .load()
        .await
}

/// The active member that this person is. One statement.
pub(super) async fn find_member(tx: &WriteTx, user: UserId) -> Result<Option<MemberId>, DbError> {
    members::in_tenant(tx)
        .filter(members::user_id.eq(user))
        .filter(members::status.eq("active"))
        .select(members::id)
        .first()
        .await
}

/// Makes a person a member. One statement.
pub(super) async fn insert_member(tx: &WriteTx, id: MemberId, user: UserId, now: DateTime<Utc>) -> Result<(), DbError> {
    let row = (
        members::id.eq(id),
        members::user_id.eq(user),
        members::joined_at.eq(now),
        members::created_at.eq(now),
        members::updated_at.eq(now),
    );
    members::insert(tx, row).execute().await.map(drop)
}

/// Gives a role to a member, tenant-wide or on a workspace. One statement.
pub(super) async fn insert_grant(
    tx: &WriteTx,
    member: MemberId,
    role: RoleId,
    workspace: Option<WorkspaceId>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let row = (
        role_grants::id.eq(RoleGrantId::new(now)),
        role_grants::member_id.eq(member),
        role_grants::role_id.eq(role),
        role_grants::workspace_id.eq(workspace),
        role_grants::created_at.eq(now),
        role_grants::updated_at.eq(now),
    );
    role_grants::insert(tx, row).execute().await.map(drop)
}

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<UserId>,
}

/// The person with this verified address. One statement.
pub(super) async fn find_user(tx: &PlatformTx, email_norm: String) -> Result<Option<UserId>, DbError> {
    let row: Option<UserRow> = tx
        .call("SELECT user_id FROM user_emails WHERE email_norm = {} AND verified_at IS NOT NULL")
        .bind::<Text, _>(email_norm)
        .first()
        .await?;
    Ok(row.and_then(|row| row.user_id))
}
