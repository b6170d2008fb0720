//! All SQL of the audit log, and the writes of the outbox.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, NullableExpressionMethods, PgArrayExpressionMethods,
    QueryDsl, Queryable, Selectable, SelectableHelper,
};

use super::{
    AccessChange, Entry, Event, Outcome,
    types::{AccessChangeRow, AccessFind, AuditFind, AuditLog, SubjectKind},
};
use crate::{
    access::{PermissionSet, Reach},
    context::RequestContext,
    db::{
        DbError, TenantTx, WriteTx,
        keyset::{Side, beyond},
        tables::{access_changes, audit_logs, events},
    },
    domain::live::feed::Position,
    ids::{AccessChangeId, AuditLogId, EventId, Id, RoleId, WorkspaceId, uuid_at},
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
    used_permissions: Vec<Option<&'static str>>,
}

/// The names of permissions, as an array of the database.
fn names(permissions: PermissionSet) -> Vec<Option<&'static str>> {
    permissions.iter().map(|permission| Some(permission.name())).collect()
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
        used_permissions: names(entry.used),
    };
    audit_logs::insert(tx, row).execute().await.map(drop)
}

#[derive(Insertable)]
#[diesel(table_name = access_changes)]
struct NewAccessChange {
    id: AccessChangeId,
    at: DateTime<Utc>,
    audit_id: AuditLogId,
    action: &'static str,
    subject_kind: SubjectKind,
    subject_id: uuid::Uuid,
    group_id: Option<uuid::Uuid>,
    role_id: Option<RoleId>,
    workspace_id: Option<WorkspaceId>,
    gained: Vec<Option<&'static str>>,
    lost: Vec<Option<&'static str>>,
    expires_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    actor_kind: &'static str,
    actor_id: Option<uuid::Uuid>,
}

/// Most rows in one statement, which takes no more than 65,535 values.
const AT_ONCE: usize = 1000;

/// Appends who gained and lost what by one change. One statement for each thousand, none for none.
pub(crate) async fn insert_access_changes(
    tx: &WriteTx,
    ctx: &RequestContext,
    at: DateTime<Utc>,
    (audit_id, action): (AuditLogId, &'static str),
    changes: Vec<AccessChange>,
) -> Result<(), DbError> {
    let (actor_kind, actor_id) = ctx.actor();
    let mut rows = changes
        .into_iter()
        .filter_map(|change| {
            let (subject_kind, subject_id) = change.subject?;
            Some(NewAccessChange {
                id: AccessChangeId::new(at),
                at,
                audit_id,
                action,
                subject_kind,
                subject_id,
                group_id: change.group,
                role_id: change.role,
                workspace_id: change.workspace,
                gained: names(change.gained),
                lost: names(change.lost),
                expires_at: change.expires_at,
                reason: change.reason,
                actor_kind,
                actor_id,
            })
        })
        .peekable();
    while rows.peek().is_some() {
        access_changes::insert_many(tx, rows.by_ref().take(AT_ONCE)).execute().await?;
    }
    Ok(())
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

/// An event as it stands in the outbox.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = events)]
pub struct StoredEvent {
    /// Its id.
    pub id: EventId,
    /// What happened, for example `task.created`.
    #[diesel(column_name = "type_")]
    pub kind: String,
    /// The workspace it happened in.
    pub workspace_id: Option<WorkspaceId>,
    /// What it is about.
    pub subject_id: Option<uuid::Uuid>,
    /// What receivers get.
    pub payload: serde_json::Value,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

/// The part of the order of commits that a reader takes: behind `after`, below `horizon`, ids from `floor` on.
macro_rules! settled {
    ($table:ident, $id:ident, $tx:expr, $after:expr, $horizon:expr, $floor:expr) => {{
        let (after, horizon): (Position, i64) = ($after, $horizon);
        $table::in_tenant($tx)
            .filter($table::id.ge($id::from_uuid($floor)))
            .filter($table::xact.assume_not_null().lt(horizon))
            .filter(beyond(
                ($table::xact.assume_not_null(), $table::id),
                Side::Greater,
                (after.xact, $id::from_uuid(after.id)),
            ))
            .order(($table::xact.assume_not_null().asc(), $table::id.asc()))
    }};
}

/// Whether a row of a transaction at `horizon` or above is there.
macro_rules! unsettled {
    ($table:ident, $id:ident, $tx:expr, $horizon:expr, $floor:expr) => {
        $table::in_tenant($tx)
            .filter($table::id.ge($id::from_uuid($floor)))
            .filter($table::xact.assume_not_null().ge($horizon))
            .select($table::id)
            .limit(1)
            .first::<$id, _>()
    };
}

/// Events in the order of commits. One statement.
pub(super) async fn events_settled(
    tx: &TenantTx,
    after: Position,
    horizon: i64,
    floor: uuid::Uuid,
    limit: i64,
) -> Result<Vec<(i64, StoredEvent)>, DbError> {
    settled!(events, EventId, tx, after, horizon, floor)
        .select((events::xact.assume_not_null(), StoredEvent::as_select()))
        .limit(limit)
        .load()
        .await
}

/// Whether events wait for an older transaction. One statement.
pub(super) async fn events_wait(tx: &TenantTx, horizon: i64, floor: uuid::Uuid) -> Result<bool, DbError> {
    Ok(unsettled!(events, EventId, tx, horizon, floor).await?.is_some())
}

/// The transaction of an event. One statement.
pub(super) async fn event_xact(tx: &TenantTx, id: EventId) -> Result<Option<i64>, DbError> {
    let found = events::in_tenant(tx).filter(events::id.eq(id)).select(events::xact).first::<Option<i64>, _>().await?;
    Ok(found.flatten())
}

/// Entries in the order of commits. One statement.
pub(super) async fn settled(
    tx: &TenantTx,
    after: Position,
    horizon: i64,
    floor: uuid::Uuid,
    limit: i64,
) -> Result<Vec<(i64, AuditLog)>, DbError> {
    settled!(audit_logs, AuditLogId, tx, after, horizon, floor)
        .select((audit_logs::xact.assume_not_null(), AuditLog::as_select()))
        .limit(limit)
        .load()
        .await
}

/// Whether entries wait for an older transaction. One statement.
pub(super) async fn wait(tx: &TenantTx, horizon: i64, floor: uuid::Uuid) -> Result<bool, DbError> {
    Ok(unsettled!(audit_logs, AuditLogId, tx, horizon, floor).await?.is_some())
}

/// The transaction of an entry. One statement.
pub(super) async fn entry_xact(tx: &TenantTx, id: AuditLogId) -> Result<Option<i64>, DbError> {
    let found = audit_logs::in_tenant(tx).filter(audit_logs::id.eq(id)).select(audit_logs::xact);
    Ok(found.first::<Option<i64>, _>().await?.flatten())
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

macro_rules! changes_filtered {
    ($tx:expr, $find:expr, $reach:expr) => {{
        let (find, reach): (&AccessFind, &Reach) = ($find, $reach);
        let mut query = access_changes::in_tenant($tx).into_boxed();
        match reach {
            Reach::All => {}
            Reach::AllExcept(hidden) => {
                let elsewhere = access_changes::workspace_id.assume_not_null().ne_all(hidden.clone());
                query = query.filter(access_changes::workspace_id.is_null().or(elsewhere));
            }
            Reach::Only(visible) => {
                query = query.filter(access_changes::workspace_id.assume_not_null().eq_any(visible.clone()));
            }
            Reach::None => query = query.filter(access_changes::id.eq_any(Vec::<AccessChangeId>::new())),
        }
        for subject in &find.subjects {
            query = query.filter(access_changes::subject_id.eq(*subject));
        }
        if let Some(group) = find.group {
            query = query.filter(access_changes::subject_id.eq(group).or(access_changes::group_id.eq(group)));
        }
        if let Some(role) = find.role {
            query = query.filter(access_changes::role_id.eq(role));
        }
        if let Some(workspace) = find.workspace {
            query = query.filter(access_changes::workspace_id.eq(workspace));
        }
        if let Some(permission) = find.permission {
            let name = vec![Some(permission.name())];
            query = query.filter(access_changes::gained.contains(name.clone()).or(access_changes::lost.contains(name)));
        }
        // The time of a change is in its id.
        if let Some(from) = find.from {
            query = query.filter(access_changes::id.ge(AccessChangeId::from_uuid(uuid_at(from))));
        }
        if let Some(to) = find.to {
            query = query.filter(access_changes::id.lt(AccessChangeId::from_uuid(uuid_at(to))));
        }
        query
    }};
}

/// One page of the changes of rights that the caller can reach, newest first or against that. One statement.
pub(crate) async fn access_page(
    tx: &TenantTx,
    find: &AccessFind,
    reach: &Reach,
    (descending, after, limit): (bool, Option<AccessChangeId>, i64),
) -> Result<Vec<AccessChangeRow>, DbError> {
    let mut query = changes_filtered!(tx, find, reach).select(AccessChangeRow::as_select()).limit(limit);
    if let Some(after) = after {
        query = match descending {
            true => query.filter(access_changes::id.lt(after)),
            false => query.filter(access_changes::id.gt(after)),
        };
    }
    match descending {
        true => query.order(access_changes::id.desc()).load().await,
        false => query.order(access_changes::id.asc()).load().await,
    }
}

/// How many changes of rights the caller can reach; counting stops behind `most`. One statement.
pub(crate) async fn access_count(tx: &TenantTx, find: &AccessFind, reach: &Reach, most: i64) -> Result<i64, DbError> {
    changes_filtered!(tx, find, reach).select(access_changes::id).count_up_to(most).await
}
