//! What the context asks the database: tenants by name, members with their rights, API keys.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName,
    sql_types::{Array, Cidr, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};

use super::tenant::{Tenant, TenantName, TenantStatus};
use crate::{
    access::{EffectiveRights, Permission, RoleGrant, RolePolicy, resolve},
    db::{
        DbError, PersonTx, TenantSql, TenantTx,
        tables::{access_versions, api_key_scopes},
    },
    ids::{ApiKeyId, MemberId, RoleId, TenantId, UserId, WorkspaceId},
};

#[derive(QueryableByName)]
struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: TenantId,
    #[diesel(sql_type = Text)]
    slug: String,
    #[diesel(sql_type = Text)]
    status: TenantStatus,
}

/// The tenant with this name. One statement.
pub(super) async fn find_tenant(
    tx: &PersonTx,
    name: &TenantName,
    now: DateTime<Utc>,
) -> Result<Option<Tenant>, DbError> {
    let call = match name {
        TenantName::Host(host) => {
            tx.call("SELECT tenant_id, slug, status FROM app.resolve_host({})").bind::<Text, _>(host.clone())
        }
        TenantName::Slug(slug) => tx
            .call("SELECT tenant_id, slug, status FROM app.resolve_slug({}, {})")
            .bind::<Text, _>(slug.clone())
            .bind::<Timestamptz, _>(now),
        TenantName::Id(id) => {
            tx.call("SELECT tenant_id, slug, status FROM app.resolve_tenant_id({})").bind::<SqlUuid, _>(*id)
        }
    };
    let row: Option<TenantRow> = call.first().await?;
    Ok(row.map(|row| Tenant { id: row.tenant_id, slug: row.slug.into(), status: row.status }))
}

/// A member with resolved rights.
pub(super) struct MemberRights {
    pub(super) member: MemberId,
    pub(super) rights: EffectiveRights,
    /// The first instant at which one of the grants ends.
    pub(super) ends_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct GrantRow {
    #[diesel(sql_type = SqlUuid)]
    member_id: MemberId,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    role_id: Option<RoleId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    workspace_id: Option<WorkspaceId>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct PolicyRow {
    #[diesel(sql_type = SqlUuid)]
    role_id: RoleId,
    #[diesel(sql_type = Text)]
    permission: String,
    #[diesel(sql_type = Text)]
    effect: String,
}

#[derive(QueryableByName)]
struct TreeRow {
    #[diesel(sql_type = SqlUuid)]
    id: WorkspaceId,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    parent_workspace_id: Option<WorkspaceId>,
}

const GRANTS: TenantSql = TenantSql::new(
    "SELECT m.id AS member_id, g.role_id, g.workspace_id, g.expires_at \
         FROM members m LEFT JOIN role_grants g ON g.tenant_id = {tenant} AND g.member_id = m.id \
         WHERE m.tenant_id = {tenant} AND m.user_id = {} AND m.status = 'active' AND m.deleted_at IS NULL",
);

/// A role's policy with those it inherits; ten levels are more than the roles of a tenant may nest.
const POLICIES: TenantSql = TenantSql::new(
    "WITH RECURSIVE chain (root, role_id, depth) AS ( \
           SELECT DISTINCT g.role_id, g.role_id, 0 FROM role_grants g \
           JOIN members m ON m.tenant_id = {tenant} AND m.id = g.member_id \
           JOIN roles r ON r.tenant_id = {tenant} AND r.id = g.role_id AND r.deleted_at IS NULL \
           WHERE g.tenant_id = {tenant} AND m.user_id = {} AND m.deleted_at IS NULL \
           UNION \
           SELECT c.root, r.inherits_role_id, c.depth + 1 FROM chain c \
           JOIN roles r ON r.tenant_id = {tenant} AND r.id = c.role_id \
           WHERE r.inherits_role_id IS NOT NULL AND c.depth < 10) \
         SELECT c.root AS role_id, p.permission, p.effect FROM chain c \
         JOIN role_permissions p ON p.tenant_id = {tenant} AND p.role_id = c.role_id",
);

/// The granted workspaces with everything below them.
const TREE: TenantSql = TenantSql::new(
    "WITH RECURSIVE tree (id, parent_workspace_id, depth) AS ( \
           SELECT DISTINCT w.id, w.parent_workspace_id, 0 FROM role_grants g \
           JOIN members m ON m.tenant_id = {tenant} AND m.id = g.member_id \
           JOIN workspaces w ON w.tenant_id = {tenant} AND w.id = g.workspace_id \
           WHERE g.tenant_id = {tenant} AND m.user_id = {} AND g.workspace_id IS NOT NULL AND m.deleted_at IS NULL \
           UNION \
           SELECT w.id, w.parent_workspace_id, t.depth + 1 FROM tree t \
           JOIN workspaces w ON w.tenant_id = {tenant} AND w.parent_workspace_id = t.id WHERE t.depth < 10) \
         SELECT DISTINCT id, parent_workspace_id FROM tree",
);

const SUBTREE: TenantSql = TenantSql::new(
    "WITH RECURSIVE tree (id, parent_workspace_id, depth) AS ( \
           SELECT w.id, w.parent_workspace_id, 0 FROM workspaces w WHERE w.tenant_id = {tenant} AND w.id = {} \
           UNION \
           SELECT w.id, w.parent_workspace_id, t.depth + 1 FROM tree t \
           JOIN workspaces w ON w.tenant_id = {tenant} AND w.parent_workspace_id = t.id WHERE t.depth < 10) \
         SELECT DISTINCT id, parent_workspace_id FROM tree",
);

/// The version of the tenant's rights. One statement.
pub(crate) async fn access_version(tx: &TenantTx) -> Result<i64, DbError> {
    let version = access_versions::in_tenant(tx).select(access_versions::version).first().await?;
    Ok(version.unwrap_or_default())
}

/// The active member that this person is, with rights. Four statements in one flight.
pub(super) async fn rights_of_user(
    tx: &TenantTx,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Option<MemberRights>, DbError> {
    let (version, grants, policies, tree) = futures::try_join!(
        access_version(tx),
        tx.raw(GRANTS).bind::<SqlUuid, _>(user).load::<GrantRow>(),
        tx.raw(POLICIES).bind::<SqlUuid, _>(user).load::<PolicyRow>(),
        tx.raw(TREE).bind::<SqlUuid, _>(user).load::<TreeRow>(),
    )?;
    let Some(member) = grants.first().map(|row| row.member_id) else { return Ok(None) };
    let grants: Vec<_> = grants
        .into_iter()
        .filter_map(|row| {
            Some(RoleGrant { role: row.role_id?, workspace: row.workspace_id, expires_at: row.expires_at })
        })
        .collect();
    let ends_at = grants.iter().filter_map(|grant| grant.expires_at).filter(|end| now < *end).min();
    let mut by_role: HashMap<RoleId, RolePolicy> = HashMap::new();
    for row in policies {
        // A permission that this release does not know gives nothing; an unknown denial has nothing to deny.
        let Ok(permission) = row.permission.parse::<Permission>() else { continue };
        let policy = by_role.entry(row.role_id).or_default();
        let set = if row.effect == "deny" { &mut policy.deny } else { &mut policy.allow };
        set.insert(permission);
    }
    let tree: Vec<_> = tree.into_iter().map(|row| (row.id, row.parent_workspace_id)).collect();
    let rights = resolve(&grants, &by_role, &tree, now, version);
    Ok(Some(MemberRights { member, rights, ends_at }))
}

/// The workspace and everything below it. One statement.
pub(crate) async fn subtree(tx: &TenantTx, workspace: WorkspaceId) -> Result<HashSet<WorkspaceId>, DbError> {
    let rows: Vec<TreeRow> = tx.raw(SUBTREE).bind::<SqlUuid, _>(workspace).load().await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// What decides whether an API key may be used.
#[derive(QueryableByName)]
pub(super) struct KeyRow {
    #[diesel(sql_type = SqlUuid, column_name = user_id)]
    pub(super) owner_user: UserId,
    #[diesel(sql_type = Nullable<SqlUuid>, column_name = workspace_id)]
    pub(super) workspace: Option<WorkspaceId>,
    #[diesel(sql_type = Array<Cidr>, column_name = allowed_cidrs)]
    pub(super) allowed_networks: Vec<ipnetwork::IpNetwork>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) revoked_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) overlap_until: Option<DateTime<Utc>>,
}

impl KeyRow {
    pub(super) fn is_usable(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none()
            && self.expires_at.is_none_or(|end| now < end)
            && self.overlap_until.is_none_or(|end| now < end)
    }
}

const KEY: TenantSql = TenantSql::new(
    "SELECT m.user_id, k.workspace_id, k.allowed_cidrs, k.expires_at, k.revoked_at, k.overlap_until \
         FROM api_keys k JOIN members m ON m.tenant_id = {tenant} AND m.id = k.owner_member_id \
         WHERE k.tenant_id = {tenant} AND k.id = {}",
);

/// The key of the transaction's tenant. One statement.
pub(super) async fn find_key(tx: &TenantTx, key: ApiKeyId) -> Result<Option<KeyRow>, DbError> {
    tx.raw(KEY).bind::<SqlUuid, _>(key).first().await
}

/// What the key was issued for. One statement.
pub(super) async fn key_scopes(tx: &TenantTx, key: ApiKeyId) -> Result<Vec<Permission>, DbError> {
    let names: Vec<String> = api_key_scopes::in_tenant(tx)
        .filter(api_key_scopes::api_key_id.eq(key))
        .select(api_key_scopes::permission)
        .load()
        .await?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: TenantId,
    #[diesel(sql_type = SqlUuid)]
    api_key_id: ApiKeyId,
    #[diesel(sql_type = Text)]
    slug: String,
    #[diesel(sql_type = Text)]
    status: TenantStatus,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    revoked_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ends_at: Option<DateTime<Utc>>,
}

/// An API key as it is found by its hash, before any tenant context.
#[derive(Clone, Debug)]
pub(crate) struct KeyFound {
    pub(crate) key: ApiKeyId,
    pub(crate) tenant: Tenant,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    /// When it expires, or when the key that replaces it is the only one.
    pub(crate) ends_at: Option<DateTime<Utc>>,
}

/// The API key with this hash and its tenant: one indexed look-up before any tenant context. One statement.
pub(crate) async fn find_key_by_hash(tx: &PersonTx, hash: [u8; 32]) -> Result<Option<KeyFound>, DbError> {
    let row: Option<IndexRow> = tx
        .call("SELECT tenant_id, api_key_id, slug, status, revoked_at, ends_at FROM app.find_api_key({})")
        .bind::<diesel::sql_types::Binary, _>(hash.to_vec())
        .first()
        .await?;
    Ok(row.map(|row| KeyFound {
        key: row.api_key_id,
        tenant: Tenant { id: row.tenant_id, slug: row.slug.into(), status: row.status },
        revoked_at: row.revoked_at,
        ends_at: row.ends_at,
    }))
}
