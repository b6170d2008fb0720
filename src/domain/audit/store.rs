//! All SQL of the audit log, and the writes of the outbox.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, NullableExpressionMethods, QueryDsl, SelectableHelper,
};

use super::{
    Entry, Event, Outcome,
    types::{AuditFind, AuditLog},
};
use crate::{
    access::Reach,
    context::RequestContext,
    db::{
        DbError, TenantTx, WriteTx,
        tables::{audit_logs, events},
    },
    ids::{AuditLogId, EventId, Id, WorkspaceId, uuid_at},
};

/// The version of the payloads that events carry.
pub const EVENT_API_VERSION: &str = "2026-11";

#[derive(Insertable)]
#[diesel(table_name = audit_logs)]
struct NewEntry {
    id: AuditLogId,
    at: DateTime<Utc>,
    action: String,
    outcome: Outcome,
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
        outcome: entry.outcome,
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

/// Entries with these ids, in no particular order. Unknown and foreign ids are absent. One statement.
pub(crate) async fn find_many(tx: &TenantTx, ids: &[AuditLogId]) -> Result<Vec<AuditLog>, DbError> {
    audit_logs::in_tenant(tx).filter(audit_logs::id.eq_any(ids.to_vec())).select(AuditLog::as_select()).load().await
}

macro_rules! filtered {
    ($tx:expr, $find:expr, $reach:expr) => {{
        let (find, reach): (&AuditFind, &Reach) = ($find, $reach);
        let mut query = audit_logs::in_tenant($tx).into_boxed();
        match reach {
            Reach::All => {}
            Reach::AllExcept(hidden) => {
                query = query.filter(
                    audit_logs::workspace_id
                        .is_null()
                        .or(audit_logs::workspace_id.assume_not_null().ne_all(hidden.clone())),
                );
            }
            Reach::Only(visible) => {
                query = query.filter(audit_logs::workspace_id.assume_not_null().eq_any(visible.clone()));
            }
            Reach::None => query = query.filter(audit_logs::id.eq_any(Vec::<AuditLogId>::new())),
        }
        // The time of an entry is in its id, by which the table is partitioned.
        if let Some(from) = find.from {
            query = query.filter(audit_logs::id.ge(AuditLogId::from_uuid(uuid_at(from))));
        }
        if let Some(to) = find.to {
            query = query.filter(audit_logs::id.lt(AuditLogId::from_uuid(uuid_at(to))));
        }
        if !find.actions.is_empty() {
            query = query.filter(audit_logs::action.eq_any(find.actions.clone()));
        }
        if let Some(actor) = find.actor {
            query = query.filter(audit_logs::actor_id.eq(actor));
        }
        if let Some(target) = find.target {
            query = query.filter(audit_logs::target_id.eq(target));
        }
        if let Some(outcome) = find.outcome {
            query = query.filter(audit_logs::outcome.eq(outcome));
        }
        query
    }};
}

/// How a list is read: direction and where to go on.
pub(crate) struct Slice {
    /// The direction of reading; entries are shown newest first.
    pub(crate) descending: bool,
    pub(crate) after: Option<AuditLogId>,
    pub(crate) limit: i64,
}

/// One page of the entries that the caller can reach. One statement.
pub(crate) async fn page(
    tx: &TenantTx,
    find: &AuditFind,
    reach: &Reach,
    slice: Slice,
) -> Result<Vec<AuditLog>, DbError> {
    let mut query = filtered!(tx, find, reach).select(AuditLog::as_select()).limit(slice.limit);
    if let Some(after) = slice.after {
        query = match slice.descending {
            true => query.filter(audit_logs::id.lt(after)),
            false => query.filter(audit_logs::id.gt(after)),
        };
    }
    match slice.descending {
        true => query.order(audit_logs::id.desc()).load().await,
        false => query.order(audit_logs::id.asc()).load().await,
    }
}

/// How many entries the caller can reach; counting stops behind `most`. One statement.
pub(crate) async fn count(tx: &TenantTx, find: &AuditFind, reach: &Reach, most: i64) -> Result<i64, DbError> {
    filtered!(tx, find, reach).select(audit_logs::id).count_up_to(most).await
}
