//! All SQL of the offers of ownership.

use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl, SelectableHelper};

use super::types::{OPEN_FOR, OwnershipTransfer, OwnershipTransferState};
use crate::{
    access::BuiltinRole,
    db::{
        DbError, TenantTx, WriteTx,
        tables::{ownership_transfers, role_grants, roles, tenants},
    },
    ids::{MemberId, OwnershipTransferId, RoleGrantId, RoleId},
};

/// The offer that waits for an answer, also one that has waited too long. One statement.
pub(super) async fn pending(tx: &TenantTx) -> Result<Option<OwnershipTransfer>, DbError> {
    ownership_transfers::in_tenant(tx)
        .filter(ownership_transfers::state.eq(OwnershipTransferState::Pending))
        .select(OwnershipTransfer::as_select())
        .first()
        .await
}

/// The offer with this id. One statement.
pub(super) async fn find(tx: &TenantTx, id: OwnershipTransferId) -> Result<Option<OwnershipTransfer>, DbError> {
    ownership_transfers::in_tenant(tx)
        .filter(ownership_transfers::id.eq(id))
        .select(OwnershipTransfer::as_select())
        .first()
        .await
}

/// The tenant's slug. One statement.
pub(super) async fn slug(tx: &TenantTx) -> Result<Option<String>, DbError> {
    tenants::in_tenant(tx).select(tenants::slug).first().await
}

/// Writes an offer. One statement.
pub(super) async fn insert(
    tx: &WriteTx,
    from: MemberId,
    to: MemberId,
    now: DateTime<Utc>,
) -> Result<Option<OwnershipTransfer>, DbError> {
    let row = (
        ownership_transfers::id.eq(OwnershipTransferId::new(now)),
        ownership_transfers::from_member_id.eq(from),
        ownership_transfers::to_member_id.eq(to),
        ownership_transfers::state.eq(OwnershipTransferState::Pending),
        ownership_transfers::expires_at.eq(now + OPEN_FOR),
        ownership_transfers::created_at.eq(now),
        ownership_transfers::updated_at.eq(now),
    );
    ownership_transfers::insert(tx, row)
        .with(|insert| insert.returning(OwnershipTransfer::as_returning()))
        .first()
        .await
}

/// Ends an offer. One statement.
pub(super) async fn resolve(
    tx: &WriteTx,
    id: OwnershipTransferId,
    state: OwnershipTransferState,
    now: DateTime<Utc>,
) -> Result<Option<OwnershipTransfer>, DbError> {
    ownership_transfers::in_tenant(tx)
        .filter(ownership_transfers::id.eq(id))
        .set(
            tx,
            (
                ownership_transfers::state.eq(state),
                ownership_transfers::resolved_at.eq(Some(now)),
                ownership_transfers::updated_at.eq(now),
            ),
        )
        .with(|update| update.returning(OwnershipTransfer::as_returning()))
        .first()
        .await
}

/// Ends the offers that a member makes or is made. One statement.
pub(super) async fn end_offers_of(tx: &WriteTx, member: MemberId, now: DateTime<Utc>) -> Result<usize, DbError> {
    ownership_transfers::in_tenant(tx)
        .filter(ownership_transfers::state.eq(OwnershipTransferState::Pending))
        .filter(ownership_transfers::from_member_id.eq(member).or(ownership_transfers::to_member_id.eq(member)))
        .set(
            tx,
            (
                ownership_transfers::state.eq(OwnershipTransferState::Cancelled),
                ownership_transfers::resolved_at.eq(Some(now)),
                ownership_transfers::updated_at.eq(now),
            ),
        )
        .execute()
        .await
}

/// The built-in role. One statement.
pub(super) async fn builtin(tx: &TenantTx, role: BuiltinRole) -> Result<Option<RoleId>, DbError> {
    roles::in_tenant(tx)
        .filter(roles::key.eq(role.key()))
        .filter(roles::is_system.eq(true))
        .select(roles::id)
        .first()
        .await
}

/// Gives a role for the whole tenant and without an end; one that is held with an end is held without one. Two statements.
pub(super) async fn grant(
    tx: &WriteTx,
    member: MemberId,
    role: RoleId,
    by: MemberId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    take(tx, member, role).await?;
    let row = (
        role_grants::id.eq(RoleGrantId::new(now)),
        role_grants::member_id.eq(member),
        role_grants::role_id.eq(role),
        role_grants::granted_by_member_id.eq(Some(by)),
        role_grants::reason.eq(Some("ownership transfer")),
        role_grants::created_at.eq(now),
        role_grants::updated_at.eq(now),
    );
    role_grants::insert(tx, row).execute().await.map(drop)
}

/// Takes a role that is held for the whole tenant. One statement.
pub(super) async fn take(tx: &WriteTx, member: MemberId, role: RoleId) -> Result<usize, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::member_id.eq(member))
        .filter(role_grants::role_id.eq(role))
        .filter(role_grants::workspace_id.is_null())
        .delete(tx)
        .execute()
        .await
}
