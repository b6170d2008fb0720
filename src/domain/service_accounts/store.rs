//! All SQL of the service accounts.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, QueryDsl, SelectableHelper};

use super::types::{NewServiceAccount, ServiceAccount, ServiceAccountChanges};
use crate::{
    db::{DbError, TenantTx, WriteTx, tables::service_accounts},
    ids::ServiceAccountId,
    keyset,
};

/// How a list is read: direction and where to go on.
pub(super) struct Slice {
    pub(super) descending: bool,
    pub(super) after: Option<(DateTime<Utc>, ServiceAccountId)>,
    pub(super) limit: i64,
}

/// Accounts with these ids, in no particular order. Unknown and foreign ids are absent. One statement.
pub(super) async fn find_many(tx: &TenantTx, ids: &[ServiceAccountId]) -> Result<Vec<ServiceAccount>, DbError> {
    service_accounts::in_tenant(tx)
        .filter(service_accounts::id.eq_any(ids.to_vec()))
        .select(ServiceAccount::as_select())
        .load()
        .await
}

/// The account, locked until the end of the transaction. One statement.
pub(super) async fn lock(tx: &WriteTx, id: ServiceAccountId) -> Result<Option<ServiceAccount>, DbError> {
    service_accounts::in_tenant(tx)
        .filter(service_accounts::id.eq(id))
        .select(ServiceAccount::as_select())
        .for_update()
        .first()
        .await
}

/// One page of the tenant's service accounts. One statement.
pub(super) async fn page(tx: &TenantTx, slice: Slice) -> Result<Vec<ServiceAccount>, DbError> {
    let query = service_accounts::in_tenant(tx).into_boxed().select(ServiceAccount::as_select()).limit(slice.limit);
    keyset!(query, service_accounts::created_at, service_accounts::id, slice.descending, slice.after).load().await
}

/// How many service accounts the tenant has; counting stops behind `most`. One statement.
pub(super) async fn count(tx: &TenantTx, most: i64) -> Result<i64, DbError> {
    service_accounts::in_tenant(tx).select(service_accounts::id).count_up_to(most).await
}

/// Inserts one account. One statement.
pub(super) async fn insert(tx: &WriteTx, new: NewServiceAccount) -> Result<Option<ServiceAccount>, DbError> {
    service_accounts::insert(tx, new).with(|insert| insert.returning(ServiceAccount::as_returning())).first().await
}

/// Changes an account that is at `version` and gives its new form; `None` if it is at another. One statement.
pub(super) async fn update(
    tx: &WriteTx,
    id: ServiceAccountId,
    version: i32,
    changes: ServiceAccountChanges,
    now: DateTime<Utc>,
) -> Result<Option<ServiceAccount>, DbError> {
    service_accounts::in_tenant(tx)
        .filter(service_accounts::id.eq(id))
        .filter(service_accounts::version.eq(version))
        .set(tx, (changes, service_accounts::version.eq(version + 1), service_accounts::updated_at.eq(now)))
        .with(|update| update.returning(ServiceAccount::as_returning()))
        .first()
        .await
}

/// Deletes an account. One statement.
pub(super) async fn delete(tx: &WriteTx, id: ServiceAccountId) -> Result<(), DbError> {
    service_accounts::in_tenant(tx).filter(service_accounts::id.eq(id)).delete(tx).execute().await.map(drop)
}
