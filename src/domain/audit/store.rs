//! Writes of the audit log and of the outbox.

use chrono::{DateTime, Utc};
use diesel::Insertable;

use super::{Entry, Event};
use crate::{
    context::RequestContext,
    db::{
        DbError, WriteTx,
        tables::{audit_logs, events},
    },
    ids::{AuditLogId, EventId, WorkspaceId},
};

/// The version of the payloads that events carry.
pub const EVENT_API_VERSION: &str = "2026-11";

#[derive(Insertable)]
#[diesel(table_name = audit_logs)]
struct NewEntry {
    id: AuditLogId,
    at: DateTime<Utc>,
    action: String,
    outcome: &'static str,
    actor_kind: &'static str,
    actor_id: Option<uuid::Uuid>,
    workspace_id: Option<WorkspaceId>,
    target_kind: Option<&'static str>,
    target_id: Option<uuid::Uuid>,
    request_id: uuid::Uuid,
    operation_name: Option<String>,
    source: &'static str,
    detail: serde_json::Value,
}

/// Appends one entry. One statement.
pub(crate) async fn insert(tx: &WriteTx, entry: Entry) -> Result<(), DbError> {
    let row = NewEntry {
        id: entry.id,
        at: entry.at,
        action: entry.action,
        outcome: entry.outcome.as_str(),
        actor_kind: entry.actor_kind,
        actor_id: entry.actor_id,
        workspace_id: entry.target.and_then(|target| target.workspace),
        target_kind: entry.target.map(|target| target.kind),
        target_id: entry.target.map(|target| target.id),
        request_id: entry.request.uuid(),
        operation_name: entry.operation_name.map(|name| name.chars().take(200).collect()),
        source: entry.source,
        detail: entry.detail,
    };
    audit_logs::insert(tx, row).execute().await.map(drop)
}

#[derive(Insertable)]
#[diesel(table_name = events)]
struct NewEvent {
    id: EventId,
    #[diesel(column_name = "type_")]
    kind: &'static str,
    api_version: &'static str,
    workspace_id: Option<WorkspaceId>,
    subject_id: uuid::Uuid,
    payload: serde_json::Value,
    actor_kind: &'static str,
    actor_id: Option<uuid::Uuid>,
    audit_id: AuditLogId,
    occurred_at: DateTime<Utc>,
}

/// Appends the events of one change. One statement for one event, one for many, none for none.
pub(crate) async fn insert_events(
    tx: &WriteTx,
    ctx: &RequestContext,
    at: DateTime<Utc>,
    audit_id: AuditLogId,
    new: Vec<(EventId, Event)>,
) -> Result<(), DbError> {
    let (actor_kind, actor_id) = ctx.actor();
    let mut rows: Vec<_> = new
        .into_iter()
        .map(|(id, event)| NewEvent {
            id,
            kind: event.kind,
            api_version: EVENT_API_VERSION,
            workspace_id: event.workspace,
            subject_id: event.subject,
            payload: event.payload,
            actor_kind,
            actor_id,
            audit_id,
            occurred_at: at,
        })
        .collect();
    match rows.len() {
        0 => Ok(()),
        // A single row goes through the statement cache; a list of any length does not.
        1 => events::insert(tx, rows.remove(0)).execute().await.map(drop),
        _ => events::insert_many(tx, rows).execute().await.map(drop),
    }
}
