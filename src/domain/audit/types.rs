//! Entries of the audit log as they are read, and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{Queryable, Selectable};
use uuid::Uuid;

use crate::{
    access::Permission,
    db::tables::{access_changes, audit_logs},
    ids::{self, AccessChangeId, AuditLogId, Id, RoleId, WorkspaceId, uuid_at},
    text_enum,
};

text_enum! {
    /// How an action ended.
    pub enum AuditOutcome {
        /// It was done.
        Success = "success",
        /// A right was missing.
        Denied = "denied",
        /// The input was refused.
        Error = "error",
    }
}

text_enum! {
    /// What kind of principal acted.
    pub enum ActorKind {
        /// A member of the tenant.
        Member = "member",
        /// A person who is no member.
        User = "user",
        /// An API key of the tenant.
        ApiKey = "api_key",
        /// A service account of the tenant.
        ServiceAccount = "service_account",
        /// An operator of the installation.
        Operator = "operator",
        /// The server itself.
        System = "system",
        /// Somebody without a credential.
        Anonymous = "anonymous",
    }
}

text_enum! {
    /// Whose rights have changed.
    pub enum SubjectKind {
        /// A member's.
        Member = "member",
        /// Those of everybody in a group.
        Group = "group",
        /// A service account's.
        ServiceAccount = "service_account",
        /// An API key's.
        ApiKey = "api_key",
        /// Those of everybody who holds a role, or a role that inherits from it.
        Role = "role",
    }
}

text_enum! {
    /// Through which door an action came.
    pub enum AuditSource {
        /// The GraphQL API.
        Api = "api",
        /// The console in the browser.
        Console = "console",
        /// The command line of an operator.
        Cli = "cli",
        /// A job in the background.
        Job = "job",
        /// A directory that provisions people.
        Scim = "scim",
        /// The platform's own interface.
        Platform = "platform",
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = audit_logs)]
pub struct AuditLog {
    /// Its id.
    pub id: AuditLogId,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// What was done, for example `task.create`.
    pub action: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// What kind of principal acted.
    pub actor_kind: ActorKind,
    /// Which one.
    pub actor_id: Option<Uuid>,
    /// The workspace it was done in.
    pub workspace_id: Option<WorkspaceId>,
    /// What kind of thing it was done to.
    pub target_kind: Option<String>,
    /// Which one.
    pub target_id: Option<Uuid>,
    /// The request.
    pub request_id: Option<Uuid>,
    /// The name of the GraphQL operation.
    pub operation_name: Option<String>,
    /// Through which door.
    pub source: AuditSource,
    /// Ids and names of fields.
    pub detail: serde_json::Value,
    /// The rights that were asked for and held, by name.
    pub used_permissions: Vec<Option<String>>,
}

/// Who gained or lost which rights.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = access_changes)]
pub struct AccessChangeRow {
    /// Its id.
    pub id: AccessChangeId,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The entry of the audit log.
    pub audit_id: AuditLogId,
    /// What was done, for example `role_grant.create`.
    pub action: String,
    /// Whose rights.
    pub subject_kind: SubjectKind,
    /// Which one's.
    pub subject_id: Uuid,
    /// The group through which it concerns a member.
    pub group_id: Option<Uuid>,
    /// The role.
    pub role_id: Option<RoleId>,
    /// Where.
    pub workspace_id: Option<WorkspaceId>,
    /// Allowed from then on, or no longer denied.
    pub gained: Vec<Option<String>>,
    /// No longer allowed, or denied from then on.
    pub lost: Vec<Option<String>>,
    /// When what was given ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why.
    pub reason: Option<String>,
    /// What kind of principal acted.
    pub actor_kind: ActorKind,
    /// Which one.
    pub actor_id: Option<Uuid>,
}

/// Which changes of rights a list holds. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct AccessFind {
    /// Of these subjects: a change has one, so two of them find nothing.
    pub subjects: Vec<Uuid>,
    /// Of this group, or through it.
    pub group: Option<Uuid>,
    /// By this role.
    pub role: Option<RoleId>,
    /// In this workspace.
    pub workspace: Option<WorkspaceId>,
    /// Gaining or losing this permission.
    pub permission: Option<Permission>,
    /// At this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
}

/// Which entries a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct AuditFind {
    /// At this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
    /// One of these actions; empty means any.
    pub actions: Vec<String>,
    /// Done by this principal.
    pub actor: Option<Uuid>,
    /// Done to this thing.
    pub target: Option<Uuid>,
    /// Ended like this.
    pub outcome: Option<AuditOutcome>,
}

impl AuditFind {
    /// Whether a list with this filter holds the entry.
    pub fn takes(&self, entry: &AuditLog) -> bool {
        let Self { from, to, actions, actor, target, outcome } = self;
        from.is_none_or(|from| uuid_at(from) <= entry.id.uuid())
            && to.is_none_or(|to| entry.id.uuid() < uuid_at(to))
            && (actions.is_empty() || actions.contains(&entry.action))
            && actor.is_none_or(|actor| entry.actor_id == Some(actor))
            && target.is_none_or(|target| entry.target_id == Some(target))
            && outcome.is_none_or(|outcome| outcome == entry.outcome)
    }
}

/// The public form of the id of a thing of this kind, where we know the kind.
///
/// Tables of our users have kinds that we do not know; their ids are shown as plain uuids.
pub fn public_id(kind: &str, id: Uuid) -> String {
    macro_rules! of {
        ($($kind:literal $id:ident),* $(,)?) => {
            match kind { $($kind => ids::$id::from_uuid(id).to_string(),)* _ => id.to_string() }
        };
    }
    of! {
        "tenant" TenantId, "user" UserId, "session" SessionId, "member" MemberId, "role" RoleId,
        "role_grant" RoleGrantId, "workspace" WorkspaceId, "workspace_member" WorkspaceMemberId, "project" ProjectId,
        "task" TaskId, "api_key" ApiKeyId, "group" GroupId, "service_account" ServiceAccountId, "event" EventId,
        "ownership_transfer" OwnershipTransferId,
    }
}
