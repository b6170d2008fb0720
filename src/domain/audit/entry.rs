//! Entries of the audit log and outgoing events, before they are stored.

use chrono::{DateTime, Utc};

use super::types::{AuditOutcome as Outcome, SubjectKind};
use crate::{
    access::{PermissionSet, escalation::Says},
    context::RequestContext,
    ids::{AuditLogId, Id, RequestId, RoleId, WorkspaceId},
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
    /// The rights that were asked for and held.
    pub used: PermissionSet,
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
            used: PermissionSet::EMPTY,
        }
    }

    /// Names what it was done to.
    pub fn target(mut self, target: Option<Target>) -> Self {
        self.target = target;
        self
    }

    /// Names the rights that were used.
    pub fn used(mut self, used: PermissionSet) -> Self {
        self.used = used;
        self
    }

    /// Adds the detail.
    pub fn detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = detail;
        self
    }
}

/// Who gained or lost rights by a mutation; written beside its entry, one for each subject.
#[derive(Clone, Debug, Default)]
pub struct AccessChange {
    /// Whose rights: kind and uuid of a member, group, service account, API key or role.
    pub subject: Option<(SubjectKind, uuid::Uuid)>,
    /// The group through which it concerns a member.
    pub group: Option<uuid::Uuid>,
    /// The role that was given, taken or changed.
    pub role: Option<RoleId>,
    /// Where; `None` is the whole tenant.
    pub workspace: Option<WorkspaceId>,
    /// What is allowed from now on, or no longer denied.
    pub gained: PermissionSet,
    /// What is no longer allowed, or denied from now on.
    pub lost: PermissionSet,
    /// When what was given ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why, as far as somebody said.
    pub reason: Option<String>,
}

impl AccessChange {
    /// A change for one subject.
    pub fn of(kind: SubjectKind, id: impl Id) -> Self {
        Self { subject: Some((kind, id.uuid())), ..Self::default() }
    }

    /// What is gained and lost where a role that said `before` says `after`.
    pub fn from_to(mut self, before: Says, after: Says) -> Self {
        self.gained = after.gives().minus(before.gives()).union(before.deny.minus(after.deny));
        self.lost = before.gives().minus(after.gives()).union(after.deny.minus(before.deny));
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
