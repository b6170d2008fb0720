//! All SQL of the API keys.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, QueryDsl, Queryable, Selectable, SelectableHelper,
    sql_types::{Binary, Uuid as SqlUuid},
};
use ipnetwork::IpNetwork;

use super::types::{ApiKey, ApiKeyFind};
use crate::{
    access::{Permission, PermissionSet, Reach},
    context::GrantHolder,
    db::{
        DbError, TenantSql, TenantTx, WriteTx,
        tables::{api_key_scopes, api_keys, workspaces},
    },
    ids::{ApiKeyId, MemberId, ServiceAccountId, WorkspaceId},
    keyset,
    limits::KeyRate,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct Row {
    id: ApiKeyId,
    name: String,
    prefix: String,
    hint: String,
    owner_member_id: Option<MemberId>,
    service_account_id: Option<ServiceAccountId>,
    workspace_id: Option<WorkspaceId>,
    allowed_cidrs: Vec<Option<IpNetwork>>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    revoked_reason: Option<String>,
    rotated_from_id: Option<ApiKeyId>,
    overlap_until: Option<DateTime<Utc>>,
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    rate_capacity: Option<i32>,
    rate_refill_per_second: Option<i32>,
}

impl Row {
    /// `None` for a key that belongs to nobody, which a constraint rules out.
    fn with_scopes(self, scopes: PermissionSet) -> Option<ApiKey> {
        let figure = |figure: Option<i32>| figure.and_then(|figure| u32::try_from(figure).ok());
        let rate = figure(self.rate_capacity)
            .zip(figure(self.rate_refill_per_second))
            .map(|(capacity, refill_per_second)| KeyRate { capacity, refill_per_second });
        let owner = self.owner_member_id.map(GrantHolder::Member);
        Some(ApiKey {
            rate,
            id: self.id,
            name: self.name,
            prefix: self.prefix,
            hint: self.hint,
            owner: owner.or(self.service_account_id.map(GrantHolder::ServiceAccount))?,
            workspace: self.workspace_id,
            scopes: scopes.iter().collect(),
            allowed_networks: self.allowed_cidrs.into_iter().flatten().collect(),
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            revoked_at: self.revoked_at,
            revoked_reason: self.revoked_reason,
            rotated_from: self.rotated_from_id,
            overlap_until: self.overlap_until,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// The rows with their scopes. One statement, none for no rows.
async fn complete(tx: &TenantTx, rows: Vec<Row>) -> Result<Vec<ApiKey>, DbError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let scopes: Vec<(ApiKeyId, String)> = api_key_scopes::in_tenant(tx)
        .filter(api_key_scopes::api_key_id.eq_any(ids))
        .select((api_key_scopes::api_key_id, api_key_scopes::permission))
        .load()
        .await?;
    let mut by_key = std::collections::HashMap::<ApiKeyId, PermissionSet>::new();
    for (key, name) in scopes {
        // A permission that this release does not know gives nothing.
        if let Ok(permission) = name.parse::<Permission>() {
            by_key.entry(key).or_default().insert(permission);
        }
    }
    let scopes_of = |row: &Row| by_key.get(&row.id).copied().unwrap_or_default();
    Ok(rows.into_iter().map(|row| (scopes_of(&row), row)).filter_map(|(scopes, row)| row.with_scopes(scopes)).collect())
}

/// Keys with these ids, in no particular order. Unknown and foreign ids are absent. Two statements.
pub(super) async fn find_many(tx: &TenantTx, ids: &[ApiKeyId]) -> Result<Vec<ApiKey>, DbError> {
    let rows = api_keys::in_tenant(tx).filter(api_keys::id.eq_any(ids.to_vec())).select(Row::as_select()).load();
    complete(tx, rows.await?).await
}

/// The key, locked until the end of the transaction. Two statements.
pub(super) async fn lock(tx: &WriteTx, id: ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    let rows = api_keys::in_tenant(tx).filter(api_keys::id.eq(id)).select(Row::as_select()).for_update().load();
    Ok(complete(tx, rows.await?).await?.into_iter().next())
}

/// How a list is read: newest first, or against that, from where on.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) descending: bool,
    pub(super) after: Option<(DateTime<Utc>, ApiKeyId)>,
    pub(super) limit: i64,
}

macro_rules! filtered {
    ($tx:expr, $find:expr, $reach:expr, $now:expr) => {{
        let (find, reach, now): (&ApiKeyFind, &Reach, DateTime<Utc>) = ($find, $reach, $now);
        let mut query = api_keys::in_tenant($tx).into_boxed();
        // A key of the whole tenant has no workspace: only a right in the whole tenant reaches it.
        match reach {
            Reach::All => {}
            Reach::AllExcept(hidden) => {
                let elsewhere = api_keys::workspace_id.ne_all(hidden.clone());
                query = query.filter(api_keys::workspace_id.is_null().or(elsewhere));
            }
            Reach::Only(visible) => query = query.filter(api_keys::workspace_id.eq_any(visible.clone())),
            Reach::None => query = query.filter(api_keys::workspace_id.eq_any(Vec::<WorkspaceId>::new())),
        }
        if let Some(account) = find.service_account {
            query = query.filter(api_keys::service_account_id.eq(account));
        }
        match find.is_active {
            None => {}
            Some(true) => {
                query = query
                    .filter(api_keys::revoked_at.is_null())
                    .filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now)))
                    .filter(api_keys::overlap_until.is_null().or(api_keys::overlap_until.gt(now)));
            }
            Some(false) => {
                let over = api_keys::expires_at.le(now).or(api_keys::overlap_until.le(now));
                query = query.filter(api_keys::revoked_at.is_not_null().or(over));
            }
        }
        query
    }};
}

/// One page of the keys that the caller can reach. Two statements.
pub(super) async fn page(
    tx: &TenantTx,
    find: &ApiKeyFind,
    reach: &Reach,
    now: DateTime<Utc>,
    slice: Slice,
) -> Result<Vec<ApiKey>, DbError> {
    let query = filtered!(tx, find, reach, now).select(Row::as_select()).limit(slice.limit);
    let rows = keyset!(query, api_keys::created_at, api_keys::id, slice.descending, slice.after).load();
    complete(tx, rows.await?).await
}

/// How many keys the caller can reach; counting stops behind `most`. One statement.
pub(super) async fn count(
    tx: &TenantTx,
    find: &ApiKeyFind,
    reach: &Reach,
    now: DateTime<Utc>,
    most: i64,
) -> Result<i64, DbError> {
    filtered!(tx, find, reach, now).select(api_keys::id).count_up_to(most).await
}

/// Whether there is such a workspace, and whether it is archived. One statement.
pub(super) async fn workspace_is_archived(tx: &TenantTx, id: WorkspaceId) -> Result<Option<bool>, DbError> {
    let found: Option<Option<DateTime<Utc>>> = workspaces::in_tenant(tx)
        .filter(workspaces::id.eq(id))
        .filter(workspaces::deleted_at.is_null())
        .select(workspaces::archived_at)
        .first()
        .await?;
    Ok(found.map(|archived_at| archived_at.is_some()))
}

#[derive(Insertable)]
#[diesel(table_name = api_keys)]
struct NewRow {
    id: ApiKeyId,
    name: String,
    prefix: String,
    hint: String,
    owner_member_id: Option<MemberId>,
    service_account_id: Option<ServiceAccountId>,
    workspace_id: Option<WorkspaceId>,
    allowed_cidrs: Vec<Option<IpNetwork>>,
    expires_at: Option<DateTime<Utc>>,
    rotated_from_id: Option<ApiKeyId>,
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    rate_capacity: Option<i32>,
    rate_refill_per_second: Option<i32>,
}

#[derive(Insertable)]
#[diesel(table_name = api_key_scopes)]
struct NewScope {
    api_key_id: ApiKeyId,
    permission: &'static str,
    created_at: DateTime<Utc>,
}

/// Inserts a key with its scopes, and makes it findable by its hash. Three statements, two flights.
pub(super) async fn insert(tx: &WriteTx, key: &ApiKey, hash: [u8; 32]) -> Result<(), DbError> {
    let row = NewRow {
        id: key.id,
        name: key.name.clone(),
        prefix: key.prefix.clone(),
        hint: key.hint.clone(),
        owner_member_id: key.owner.member(),
        service_account_id: key.owner.service_account(),
        workspace_id: key.workspace,
        allowed_cidrs: key.allowed_networks.iter().copied().map(Some).collect(),
        expires_at: key.expires_at,
        rotated_from_id: key.rotated_from,
        version: key.version,
        created_at: key.created_at,
        updated_at: key.updated_at,
        rate_capacity: key.rate.and_then(|rate| i32::try_from(rate.capacity).ok()),
        rate_refill_per_second: key.rate.and_then(|rate| i32::try_from(rate.refill_per_second).ok()),
    };
    let scopes: Vec<_> = (key.scopes.iter())
        .map(|scope| NewScope { api_key_id: key.id, permission: scope.name(), created_at: key.created_at })
        .collect();
    api_keys::insert(tx, row).execute().await?;
    futures::try_join!(
        api_key_scopes::insert_many(tx, scopes).execute(),
        tx.call("SELECT app.api_key_index_add({}, {})")
            .bind::<Binary, _>(hash.to_vec())
            .bind::<SqlUuid, _>(key.id)
            .execute(),
    )?;
    Ok(())
}

/// Says from when on another key is the only one. One statement.
pub(super) async fn set_overlap(
    tx: &WriteTx,
    key: &ApiKey,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    api_keys::in_tenant(tx)
        .filter(api_keys::id.eq(key.id))
        .set(
            tx,
            (
                api_keys::overlap_until.eq(Some(until)),
                api_keys::version.eq(key.version + 1),
                api_keys::updated_at.eq(now),
            ),
        )
        .execute()
        .await
        .map(drop)
}

/// Revokes a key. One statement.
pub(super) async fn revoke(tx: &WriteTx, key: &ApiKey, reason: String, now: DateTime<Utc>) -> Result<(), DbError> {
    api_keys::in_tenant(tx)
        .filter(api_keys::id.eq(key.id))
        .set(
            tx,
            (
                api_keys::revoked_at.eq(Some(now)),
                api_keys::revoked_reason.eq(Some(reason)),
                api_keys::version.eq(key.version + 1),
                api_keys::updated_at.eq(now),
            ),
        )
        .execute()
        .await
        .map(drop)
}

/// Notes the use of a key, unless somebody has since `before`. One statement.
pub(super) async fn touch(
    tx: &WriteTx,
    key: ApiKeyId,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<(), DbError> {
    api_keys::in_tenant(tx)
        .filter(api_keys::id.eq(key))
        .filter(api_keys::last_used_at.is_null().or(api_keys::last_used_at.le(before)))
        .set(tx, api_keys::last_used_at.eq(Some(now)))
        .execute()
        .await
        .map(drop)
}

const FORGET_HASHES: TenantSql = TenantSql::new(
    "SELECT app.api_key_index_remove(k.id) FROM api_keys k WHERE k.tenant_id = {tenant} AND k.service_account_id = {}",
);

/// Deletes every key of a service account, and makes its hash unknown; gives their ids. Two statements.
pub(super) async fn delete_of_service_account(
    tx: &WriteTx,
    account: ServiceAccountId,
) -> Result<Vec<ApiKeyId>, DbError> {
    tx.raw(FORGET_HASHES).bind::<SqlUuid, _>(account).execute().await?;
    api_keys::in_tenant(tx)
        .filter(api_keys::service_account_id.eq(account))
        .delete(tx)
        .with(|delete| delete.returning(api_keys::id))
        .load()
        .await
}

/// Revokes every key of a member that is not; gives their ids. One statement.
pub(super) async fn revoke_of(
    tx: &WriteTx,
    owner: MemberId,
    reason: &'static str,
    now: DateTime<Utc>,
) -> Result<Vec<ApiKeyId>, DbError> {
    api_keys::in_tenant(tx)
        .filter(api_keys::owner_member_id.eq(owner))
        .filter(api_keys::revoked_at.is_null())
        .set(
            tx,
            (
                api_keys::revoked_at.eq(Some(now)),
                api_keys::revoked_reason.eq(Some(reason)),
                api_keys::version.eq(api_keys::version + 1),
                api_keys::updated_at.eq(now),
            ),
        )
        .with(|update| update.returning(api_keys::id))
        .load()
        .await
}

/// Changes name, networks and end of a key. One statement.
pub(super) async fn update(tx: &WriteTx, key: &ApiKey) -> Result<(), DbError> {
    let networks: Vec<_> = key.allowed_networks.iter().copied().map(Some).collect();
    api_keys::in_tenant(tx)
        .filter(api_keys::id.eq(key.id))
        .set(
            tx,
            (
                api_keys::name.eq(key.name.clone()),
                api_keys::allowed_cidrs.eq(networks),
                api_keys::expires_at.eq(key.expires_at),
                api_keys::version.eq(key.version),
                api_keys::updated_at.eq(key.updated_at),
            ),
        )
        .execute()
        .await
        .map(drop)
}
