//! Entries of the audit log and outgoing events, before they are stored.

use chrono::{DateTime, Utc};

use super::types::AuditOutcome as Outcome;
use crate::{
    context::RequestContext,
    ids::{AuditLogId, Id, RequestId, WorkspaceId},
};

/// What something was done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// For example `task`.
    pub kind: &'static str,
    /// Its uuid.
    pub id: uuid::Uuid,
    /// The workspace it is in.
    pub workspace: Option<WorkspaceId>,
}

impl Target {
    /// A target outside of any workspace.
    pub fn new(kind: &'static str, id: impl Id) -> Self {
        Self { kind, id: id.uuid(), workspace: None }
    }

    /// A target in a workspace.
    pub fn in_workspace(kind: &'static str, id: impl Id, workspace: WorkspaceId) -> Self {
        Self { kind, id: id.uuid(), workspace: Some(workspace) }
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: AuditLogId,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Kind of the one who acted.
    pub actor_kind: &'static str,
    /// Uuid of the one who acted.
    pub actor_id: Option<uuid::Uuid>,
    /// What it was done to.
    pub target: Option<Target>,
    /// The request.
    pub request: RequestId,
    /// Name of the GraphQL operation.
    pub operation_name: Option<String>,
    /// Through which door: `api`, `cli`.
    pub source: &'static str,
    /// Ids and names of fields.
    pub detail: serde_json::Value,
}

impl Entry {
    /// An entry about what this request did.
    pub fn of(ctx: &RequestContext, id: AuditLogId, at: DateTime<Utc>, action: &str, outcome: Outcome) -> Self {
        let (actor_kind, actor_id) = ctx.actor();
        Self {
            id,
            at,
            action: action.to_owned(),
            outcome,
            actor_kind,
            actor_id,
            target: None,
            request: ctx.request,
            operation_name: ctx.operation_name.clone(),
            source: ctx.door.as_str(),
            detail: serde_json::json!({}),
        }
    }

    /// Names what it was done to.
    pub fn target(mut self, target: Option<Target>) -> Self {
        self.target = target;
        self
    }

    /// Adds the detail.
    pub fn detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = detail;
        self
    }
}

/// An outgoing event.
#[derive(Clone, Debug)]
pub struct Event {
    /// `subject.verb` in the past tense, for example `task.created`.
    pub kind: &'static str,
    /// The workspace it happened in.
    pub workspace: Option<WorkspaceId>,
    /// What it is about.
    pub subject: uuid::Uuid,
    /// What receivers get.
    pub payload: serde_json::Value,
}
