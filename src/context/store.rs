//! What the context asks the database: tenants by name, members with their rights, API keys.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName,
    sql_types::{Array, BigInt, Bool, Cidr, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    principal::GrantHolder,
    tenant::{Tenant, TenantName, TenantStatus},
};
use crate::{
    access::{EffectiveRights, Permission, PermissionSet, RoleGrant, RolePolicy, RoleSays, resolve},
    db::{
        DbError, PersonTx, TenantSql, TenantTx,
        tables::{access_versions, api_key_scopes, members, service_accounts},
    },
    ids::{ApiKeyId, GroupId, Id, MemberId, RoleGrantId, RoleId, ServiceAccountId, TenantId, UserId, WorkspaceId},
    limits::{KeyRate, PlanLimits},
};

#[derive(QueryableByName)]
struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: TenantId,
    #[diesel(sql_type = Text)]
    slug: String,
    #[diesel(sql_type = Text)]
    status: TenantStatus,
    #[diesel(sql_type = Jsonb)]
    limits: serde_json::Value,
    #[diesel(sql_type = BigInt)]
    rights_version: i64,
}

/// The tenant with this name. One statement.
pub(super) async fn find_tenant(
    tx: &PersonTx,
    name: &TenantName,
    now: DateTime<Utc>,
) -> Result<Option<Tenant>, DbError> {
    let call = match name {
        TenantName::Host(host) => tx
            .call("SELECT t.*, s.* FROM app.resolve_host({}) t, LATERAL app.tenant_state(t.tenant_id) s")
            .bind::<Text, _>(host.clone()),
        TenantName::Slug(slug) => tx
            .call("SELECT t.*, s.* FROM app.resolve_slug({}, {}) t, LATERAL app.tenant_state(t.tenant_id) s")
            .bind::<Text, _>(slug.clone())
            .bind::<Timestamptz, _>(now),
        TenantName::Id(id) => tx
            .call("SELECT t.*, s.* FROM app.resolve_tenant_id({}) t, LATERAL app.tenant_state(t.tenant_id) s")
            .bind::<SqlUuid, _>(*id),
    };
    let row: Option<TenantRow> = call.first().await?;
    Ok(row.map(|row| Tenant {
        id: row.tenant_id,
        slug: row.slug.into(),
        status: row.status,
        limits: PlanLimits::of(&row.limits),
        rights_version: row.rights_version,
    }))
}

/// Whose grants are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The active member that a person is.
    User(UserId),
    /// A member, in whatever state.
    Member(MemberId),
    /// A service account, in whatever state.
    ServiceAccount(ServiceAccountId),
}

/// A principal with resolved rights.
pub(crate) struct HolderRights {
    pub(crate) principal: GrantHolder,
    /// Whether it takes part: what a suspended one holds counts for nothing.
    pub(crate) is_active: bool,
    pub(crate) rights: EffectiveRights,
    /// The first instant at which one of the grants ends.
    pub(crate) ends_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct GrantRow {
    #[diesel(sql_type = SqlUuid)]
    holder_id: Uuid,
    #[diesel(sql_type = Bool)]
    is_active: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    grant_id: Option<RoleGrantId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    role_id: Option<RoleId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    group_id: Option<GroupId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    workspace_id: Option<WorkspaceId>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct PolicyRow {
    #[diesel(sql_type = SqlUuid)]
    role_id: RoleId,
    #[diesel(sql_type = SqlUuid)]
    says_id: RoleId,
    #[diesel(sql_type = Nullable<Text>)]
    permission: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    effect: Option<String>,
}

#[derive(QueryableByName)]
struct PlaceRow {
    #[diesel(sql_type = SqlUuid)]
    id: WorkspaceId,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    parent_workspace_id: Option<WorkspaceId>,
    #[diesel(sql_type = Bool)]
    is_private: bool,
}

#[derive(QueryableByName)]
struct TreeRow {
    #[diesel(sql_type = SqlUuid)]
    id: WorkspaceId,
}

/// `me` is the holder, `held` are its grants: its own and those of its groups.
macro_rules! held {
    (member $which:literal) => {
        concat!(
            "me AS (SELECT m.id, m.status = 'active' AS is_active FROM members m \
                    WHERE m.tenant_id = {tenant} AND ",
            $which,
            " AND m.deleted_at IS NULL), \
             held AS (SELECT g.id, g.role_id, NULL::uuid AS group_id, g.workspace_id, g.expires_at \
                      FROM me JOIN role_grants g ON g.tenant_id = {tenant} AND g.member_id = me.id \
                      UNION ALL \
                      SELECT g.id, g.role_id, g.group_id, g.workspace_id, g.expires_at \
                      FROM me JOIN group_members x ON x.tenant_id = {tenant} AND x.member_id = me.id \
                      JOIN role_grants g ON g.tenant_id = {tenant} AND g.group_id = x.group_id)"
        )
    };
    (service_account) => {
        "me AS (SELECT s.id, s.status = 'active' AS is_active FROM service_accounts s \
                WHERE s.tenant_id = {tenant} AND s.id = {}), \
         held AS (SELECT g.id, g.role_id, NULL::uuid AS group_id, g.workspace_id, g.expires_at \
                  FROM me JOIN role_grants g ON g.tenant_id = {tenant} AND g.service_account_id = me.id)"
    };
}

macro_rules! rights_of {
    ($($held:tt)*) => {
        RightsSql {
            grants: TenantSql::new(concat!(
                "WITH ", held!($($held)*),
                " SELECT me.id AS holder_id, me.is_active, h.id AS grant_id, h.role_id, h.group_id, h.workspace_id, h.expires_at \
                  FROM me LEFT JOIN held h ON true"
            )),
            // A role's policy with those it inherits; ten levels are more than the roles of a tenant may nest.
            policies: TenantSql::new(concat!(
                "WITH RECURSIVE ", held!($($held)*),
                ", chain (root, role_id, depth) AS ( \
                     SELECT DISTINCT h.role_id, h.role_id, 0 FROM held h \
                     JOIN roles r ON r.tenant_id = {tenant} AND r.id = h.role_id AND r.deleted_at IS NULL \
                     UNION \
                     SELECT c.root, r.inherits_role_id, c.depth + 1 FROM chain c \
                     JOIN roles r ON r.tenant_id = {tenant} AND r.id = c.role_id \
                     WHERE r.inherits_role_id IS NOT NULL AND c.depth < 10) \
                 SELECT c.root AS role_id, c.role_id AS says_id, p.permission, p.effect FROM chain c \
                 LEFT JOIN role_permissions p ON p.tenant_id = {tenant} AND p.role_id = c.role_id \
                 ORDER BY c.root, c.depth"
            )),
            // The granted workspaces and the private ones, with everything below them.
            tree: TenantSql::new(concat!(
                "WITH RECURSIVE ", held!($($held)*),
                ", tree (id, parent_workspace_id, is_private, depth) AS ( \
                     SELECT w.id, w.parent_workspace_id, w.visibility = 'private', 0 FROM workspaces w \
                     WHERE w.tenant_id = {tenant} AND w.id IN (SELECT h.workspace_id FROM held h) \
                     UNION \
                     SELECT w.id, w.parent_workspace_id, true, 0 FROM workspaces w \
                     WHERE w.tenant_id = {tenant} AND w.visibility = 'private' \
                     UNION \
                     SELECT w.id, w.parent_workspace_id, w.visibility = 'private', t.depth + 1 FROM tree t \
                     JOIN workspaces w ON w.tenant_id = {tenant} AND w.parent_workspace_id = t.id WHERE t.depth < 10) \
                 SELECT DISTINCT id, parent_workspace_id, is_private FROM tree"
            )),
        }
    };
}

struct RightsSql {
    grants: TenantSql,
    policies: TenantSql,
    tree: TenantSql,
}

const OF_USER: RightsSql = rights_of!(member "m.user_id = {} AND m.status = 'active'");
const OF_MEMBER: RightsSql = rights_of!(member "m.id = {}");
const OF_SERVICE_ACCOUNT: RightsSql = rights_of!(service_account);

/// The version of the tenant's rights. One statement.
pub(crate) async fn access_version(tx: &TenantTx) -> Result<i64, DbError> {
    let version = access_versions::in_tenant(tx).select(access_versions::version).first().await?;
    Ok(version.unwrap_or_default())
}

/// The principal with its rights, `None` if there is none. Four statements in one flight.
pub(crate) async fn rights_of(
    tx: &TenantTx,
    holder: Holder,
    now: DateTime<Utc>,
) -> Result<Option<HolderRights>, DbError> {
    let (sql, id) = match holder {
        Holder::User(id) => (OF_USER, id.uuid()),
        Holder::Member(id) => (OF_MEMBER, id.uuid()),
        Holder::ServiceAccount(id) => (OF_SERVICE_ACCOUNT, id.uuid()),
    };
    let (version, grants, policies, tree) = futures::try_join!(
        access_version(tx),
        tx.raw(sql.grants).bind::<SqlUuid, _>(id).load::<GrantRow>(),
        tx.raw(sql.policies).bind::<SqlUuid, _>(id).load::<PolicyRow>(),
        tx.raw(sql.tree).bind::<SqlUuid, _>(id).load::<PlaceRow>(),
    )?;
    let Some((found, is_active)) = grants.first().map(|row| (row.holder_id, row.is_active)) else { return Ok(None) };
    let grants: Vec<_> = grants
        .into_iter()
        .filter_map(|row| {
            Some(RoleGrant {
                id: row.grant_id?,
                role: row.role_id?,
                group: row.group_id,
                workspace: row.workspace_id,
                expires_at: row.expires_at,
            })
        })
        .collect();
    let ends_at = grants.iter().filter_map(|grant| grant.expires_at).filter(|end| now < *end).min();
    let private: Vec<_> = tree.iter().filter(|row| row.is_private).map(|row| row.id).collect();
    let tree: Vec<_> = tree.into_iter().map(|row| (row.id, row.parent_workspace_id)).collect();
    let rights = resolve(&grants, &policies_of(policies), &tree, &private, now, version);
    let principal = match holder {
        Holder::User(_) | Holder::Member(_) => GrantHolder::Member(MemberId::from_uuid(found)),
        Holder::ServiceAccount(id) => GrantHolder::ServiceAccount(id),
    };
    Ok(Some(HolderRights { principal, is_active, rights, ends_at }))
}

/// Whether the member takes part, or the service account is in use. One statement.
pub(crate) async fn is_active(tx: &TenantTx, holder: GrantHolder) -> Result<bool, DbError> {
    let found: Option<String> = match holder {
        GrantHolder::Member(id) => {
            let member = members::in_tenant(tx).filter(members::id.eq(id)).filter(members::deleted_at.is_null());
            member.select(members::status).first().await?
        }
        GrantHolder::ServiceAccount(id) => {
            let account = service_accounts::in_tenant(tx).filter(service_accounts::id.eq(id));
            account.select(service_accounts::status).first().await?
        }
    };
    Ok(found.as_deref() == Some("active"))
}

/// The policies of the roles; the rows of a role stand together, its own first, then what it inherits from.
fn policies_of(rows: Vec<PolicyRow>) -> HashMap<RoleId, RolePolicy> {
    let mut lines: HashMap<RoleId, Vec<RoleSays>> = HashMap::new();
    for row in rows {
        let line = lines.entry(row.role_id).or_default();
        let at = line.iter().position(|says| says.role == row.says_id).unwrap_or_else(|| {
            line.push(RoleSays { role: row.says_id, allow: PermissionSet::EMPTY, deny: PermissionSet::EMPTY });
            line.len() - 1
        });
        // A permission that this release does not know gives nothing; an unknown denial has nothing to deny.
        let Some(Ok(permission)) = row.permission.map(|name| name.parse::<Permission>()) else { continue };
        let set = if row.effect.as_deref() == Some("deny") { &mut line[at].deny } else { &mut line[at].allow };
        set.insert(permission);
    }
    lines.into_iter().map(|(role, line)| (role, RolePolicy::of(line))).collect()
}

const SUBTREE: TenantSql = TenantSql::new(
    "WITH RECURSIVE tree (id, parent_workspace_id, depth) AS ( \
           SELECT w.id, w.parent_workspace_id, 0 FROM workspaces w WHERE w.tenant_id = {tenant} AND w.id = {} \
           UNION \
           SELECT w.id, w.parent_workspace_id, t.depth + 1 FROM tree t \
           JOIN workspaces w ON w.tenant_id = {tenant} AND w.parent_workspace_id = t.id WHERE t.depth < 10) \
         SELECT DISTINCT id, parent_workspace_id FROM tree",
);

/// The workspace and everything below it. One statement.
pub(crate) async fn subtree(tx: &TenantTx, workspace: WorkspaceId) -> Result<HashSet<WorkspaceId>, DbError> {
    let rows: Vec<TreeRow> = tx.raw(SUBTREE).bind::<SqlUuid, _>(workspace).load().await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// What decides whether an API key may be used.
#[derive(QueryableByName)]
pub(super) struct KeyRow {
    #[diesel(sql_type = Nullable<SqlUuid>, column_name = owner_member_id)]
    member: Option<MemberId>,
    #[diesel(sql_type = Nullable<SqlUuid>, column_name = service_account_id)]
    service_account: Option<ServiceAccountId>,
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
    #[diesel(sql_type = Nullable<Integer>)]
    rate_capacity: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    rate_refill_per_second: Option<i32>,
}

impl KeyRow {
    /// What the key says about its own bucket.
    pub(super) fn rate(&self) -> Option<KeyRate> {
        let figure = |figure: Option<i32>| figure.and_then(|figure| u32::try_from(figure).ok());
        Some(KeyRate { capacity: figure(self.rate_capacity)?, refill_per_second: figure(self.rate_refill_per_second)? })
    }

    /// On whose behalf the key acts.
    pub(super) fn owner(&self) -> Option<Holder> {
        self.member.map(Holder::Member).or(self.service_account.map(Holder::ServiceAccount))
    }

    pub(super) fn is_usable(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none()
            && self.expires_at.is_none_or(|end| now < end)
            && self.overlap_until.is_none_or(|end| now < end)
    }
}

const KEY: TenantSql = TenantSql::new(
    "SELECT k.owner_member_id, k.service_account_id, k.workspace_id, k.allowed_cidrs, k.expires_at, k.revoked_at, \
            k.overlap_until, k.rate_capacity, k.rate_refill_per_second \
     FROM api_keys k WHERE k.tenant_id = {tenant} AND k.id = {}",
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
    #[diesel(sql_type = Jsonb)]
    limits: serde_json::Value,
    #[diesel(sql_type = BigInt)]
    rights_version: i64,
}

/// An API key as it is found by its hash, before any tenant context.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
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
        .call("SELECT k.*, s.* FROM app.find_api_key({}) k, LATERAL app.tenant_state(k.tenant_id) s")
        .bind::<diesel::sql_types::Binary, _>(hash.to_vec())
        .first()
        .await?;
    Ok(row.map(|row| KeyFound {
        key: row.api_key_id,
        tenant: Tenant {
            id: row.tenant_id,
            slug: row.slug.into(),
            status: row.status,
            limits: PlanLimits::of(&row.limits),
            rights_version: row.rights_version,
        },
        revoked_at: row.revoked_at,
        ends_at: row.ends_at,
    }))
}
