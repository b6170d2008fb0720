//! The outbox and the audit log in the order of commits, for subscribers.

use std::sync::Arc;

use uuid::Uuid;

use super::{store, types::AuditLog};
use crate::{
    db::{DbError, TenantTx},
    domain::live::feed::{Position, Rows, Source},
    ids::{AuditLogId, EventId, Id},
};

pub use store::StoredEvent;

/// Entries of the audit log.
pub struct AuditEntries;

impl Source for AuditEntries {
    type Item = Arc<AuditLog>;

    const NAME: &'static str = "audit";

    async fn page(
        tx: &TenantTx,
        after: Position,
        horizon: i64,
        floor: Uuid,
        limit: i64,
    ) -> Result<Rows<Self::Item>, DbError> {
        let rows = store::settled(tx, after, horizon, floor, limit).await?;
        let rows = rows.into_iter();
        Ok(rows.map(|(xact, entry)| (Position { xact, id: entry.id.uuid() }, Some(Arc::new(entry)))).collect())
    }

    async fn waits(tx: &TenantTx, horizon: i64, floor: Uuid) -> Result<bool, DbError> {
        store::wait(tx, horizon, floor).await
    }

    async fn position(tx: &TenantTx, id: Uuid) -> Result<Option<Position>, DbError> {
        let xact = store::entry_xact(tx, AuditLogId::from_uuid(id)).await?;
        Ok(xact.map(|xact| Position { xact, id }))
    }
}

/// Events of the outbox, as [`Source::page`] gives them; what each slice makes of them is its own business.
///
/// # Errors
/// [`DbError`].
pub async fn events_page(
    tx: &TenantTx,
    after: Position,
    horizon: i64,
    floor: Uuid,
    limit: i64,
) -> Result<Vec<(Position, StoredEvent)>, DbError> {
    let rows = store::events_settled(tx, after, horizon, floor, limit).await?;
    Ok(rows.into_iter().map(|(xact, event)| (Position { xact, id: event.id.uuid() }, event)).collect())
}

/// As [`Source::waits`], for the outbox.
///
/// # Errors
/// [`DbError`].
pub async fn events_wait(tx: &TenantTx, horizon: i64, floor: Uuid) -> Result<bool, DbError> {
    store::events_wait(tx, horizon, floor).await
}

/// As [`Source::position`], for the outbox.
///
/// # Errors
/// [`DbError`].
pub async fn event_position(tx: &TenantTx, id: Uuid) -> Result<Option<Position>, DbError> {
    let xact = store::event_xact(tx, EventId::from_uuid(id)).await?;
    Ok(xact.map(|xact| Position { xact, id }))
}
