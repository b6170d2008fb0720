//! Roles and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{AsChangeset, Insertable, Queryable, QueryableByName, Selectable};

use crate::{
    access::{Permission, PermissionSet, escalation::Says},
    db::tables::{role_grants, roles},
    domain::{Problem, mutation::Effect, text, workspaces::slug},
    graphql::codes::UserErrorCode,
    ids::{GroupId, MemberId, RoleGrantId, RoleId, ServiceAccountId, WorkspaceId},
    text_enum,
};

/// Longest name, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 80;
/// Longest description, in characters. The table has the same CHECK.
pub const MAX_DESCRIPTION_CHARS: usize = 300;
/// Longest key. The table has the same CHECK.
pub const MAX_KEY_CHARS: usize = 40;
/// How deep roles may inherit from each other. A trigger holds it.
pub const MAX_DEPTH: usize = 10;
/// How many numbered forms of a key are tried before a random ending is taken.
const NUMBERED: usize = 30;
/// What a name without any letter of the Latin alphabet becomes.
const NAMELESS: &str = "role";

text_enum! {
    /// Where a role is meant to be given.
    pub enum RoleLevel {
        /// For the whole tenant.
        Tenant = "tenant",
        /// On a workspace, with its descendants.
        Workspace = "workspace",
    }
}

/// A role of a tenant.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = roles)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its key, unique in the tenant.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it is for, or empty.
    pub description: String,
    /// Whether it came with the tenant and is locked.
    pub is_system: bool,
    /// Where it is meant to be given.
    pub level: RoleLevel,
    /// The role whose permissions and denials it has besides its own.
    pub inherits_role_id: Option<RoleId>,
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Effect for Role {
    type Key = RoleId;
    fn key(&self) -> RoleId {
        self.id
    }
}

/// What somebody says about a new role.
#[derive(Clone, Debug)]
pub struct RoleDraft {
    /// Its key; made of the name if nothing is said.
    pub key: Option<String>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where it is meant to be given.
    pub level: RoleLevel,
    /// What it allows and denies itself.
    pub says: Says,
    /// The role whose permissions and denials it has besides its own.
    pub inherits: Option<RoleId>,
}

impl RoleDraft {
    /// What is wrong with it; paths begin with `input`.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<_> = name_problem(&self.name).into_iter().collect();
        problems.extend(self.description.as_deref().and_then(description_problem));
        problems.extend(self.key.as_deref().and_then(key_problem));
        problems.extend(policy_problems(self.says, self.level));
        problems
    }

    pub(super) fn checked(self, id: RoleId, key: String, now: DateTime<Utc>) -> NewRole {
        NewRole {
            id,
            key,
            name: self.name.trim().to_owned(),
            description: self.description.unwrap_or_default().trim().to_owned(),
            level: self.level,
            inherits_role_id: self.inherits,
            created_at: now,
            updated_at: now,
        }
    }
}

/// A role to be created, checked.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = roles)]
pub struct NewRole {
    id: RoleId,
    key: String,
    name: String,
    description: String,
    level: RoleLevel,
    inherits_role_id: Option<RoleId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Changes of the row of a role: absent keeps, `Some(None)` clears.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = roles)]
pub struct RoleChanges {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// Another role to inherit from, or none.
    pub inherits_role_id: Option<Option<RoleId>>,
    /// Set by deleting it.
    pub(super) deleted_at: Option<Option<DateTime<Utc>>>,
}

/// Everything that somebody changes of a role.
#[derive(Clone, Debug, Default)]
pub struct RoleEdit {
    /// Of its row.
    pub row: RoleChanges,
    /// What it allows itself, instead of what it did.
    pub allow: Option<PermissionSet>,
    /// What it denies itself, instead of what it did.
    pub deny: Option<PermissionSet>,
    /// Why.
    pub reason: Option<String>,
}

impl RoleEdit {
    /// What is wrong with it, for a role of this level whose own policy would be `says`; paths begin with `input`.
    pub fn problems(&self, says: Says, level: RoleLevel) -> Vec<Problem> {
        let mut problems: Vec<_> = self.row.name.as_deref().and_then(name_problem).into_iter().collect();
        problems.extend(self.row.description.as_deref().and_then(description_problem));
        problems.extend(policy_problems(says, level));
        problems.extend(reason_problem(self.reason.as_deref()));
        problems
    }

    /// The names of the changed fields, for the audit entry.
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("name", self.row.name.is_some()),
            ("description", self.row.description.is_some()),
            ("permissions", self.allow.is_some()),
            ("deniedPermissions", self.deny.is_some()),
            ("inheritsRoleId", self.row.inherits_role_id.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }
}

/// Longest reason of a change of rights, in characters. The tables have the same CHECK.
pub const MAX_REASON_CHARS: usize = 500;

/// What is wrong with a reason at `input.reason`.
pub fn reason_problem(reason: Option<&str>) -> Option<Problem> {
    text::block(reason?, "input.reason", "A reason", MAX_REASON_CHARS)
}

/// A reason as it is stored: an empty one is none.
pub fn reason_of(reason: Option<String>) -> Option<String> {
    reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty())
}

fn name_problem(name: &str) -> Option<Problem> {
    text::line(name, "input.name", "A name", MAX_NAME_CHARS)
}

fn description_problem(description: &str) -> Option<Problem> {
    text::block(description, "input.description", "A description", MAX_DESCRIPTION_CHARS)
}

fn key_problem(key: &str) -> Option<Problem> {
    if key.chars().count() > MAX_KEY_CHARS {
        return Some(text::too_long("input.key", "A key", MAX_KEY_CHARS));
    }
    let message = "A key begins with a letter and has 2 to 40 of a to z, 0 to 9 and _.";
    (!is_key(key)).then(|| {
        Problem::new(UserErrorCode::Invalid, "input.key", message)
            .params(serde_json::json!({ "suggestion": derive_key(key) }))
    })
}

fn is_key(text: &str) -> bool {
    (2..=MAX_KEY_CHARS).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// A key made of a name.
pub fn derive_key(name: &str) -> String {
    let mut key = slug::derive(name).replace('-', "_");
    if !key.starts_with(|first: char| first.is_ascii_lowercase()) || key.len() < 2 {
        key = format!("{NAMELESS}_{key}");
    }
    key.truncate(MAX_KEY_CHARS);
    key.trim_end_matches('_').to_owned()
}

/// The keys to try for a name, best first.
pub(super) fn key_candidates(name: &str) -> Vec<String> {
    let base = derive_key(name);
    let numbered = (2..=NUMBERED).map(|number| key_with_ending(&base, &number.to_string()));
    std::iter::once(base.clone()).chain(numbered).collect()
}

/// The key with an ending, cut to its length.
pub(super) fn key_with_ending(base: &str, ending: &str) -> String {
    let room = MAX_KEY_CHARS - ending.len() - 1;
    let base = base.get(..room).unwrap_or(base).trim_end_matches('_');
    format!("{base}_{ending}")
}

/// What is wrong with what a role says itself.
fn policy_problems(says: Says, level: RoleLevel) -> Vec<Problem> {
    let both = says.allow.intersection(says.deny);
    let mut problems = Vec::new();
    if !both.is_empty() {
        let message = "A role allows a permission or denies it, not both.";
        problems.push(
            Problem::new(UserErrorCode::Invalid, "input.deniedPermissions", message)
                .params(serde_json::json!({ "refused": both })),
        );
    }
    for (set, path) in [(says.allow, "input.permissions"), (says.deny, "input.deniedPermissions")] {
        let platform = set.intersection(PermissionSet::PLATFORM);
        let refused = match level {
            _ if !platform.is_empty() => platform,
            RoleLevel::Tenant => continue,
            RoleLevel::Workspace => set.minus(PermissionSet::WORKSPACE),
        };
        if refused.is_empty() {
            continue;
        }
        let message = match platform.is_empty() {
            true => "These permissions concern the whole tenant, so a role for workspaces cannot have them.",
            false => "These permissions are for operators of the installation; no role of a tenant can have them.",
        };
        problems.push(
            Problem::new(UserErrorCode::Invalid, path, message).params(serde_json::json!({ "refused": refused })),
        );
    }
    problems
}

/// The set of these permissions.
pub fn set_of(permissions: Vec<Permission>) -> PermissionSet {
    permissions.into_iter().collect()
}

/// A role given to a member, a group or a service account: one of the three.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = role_grants)]
pub struct Grant {
    /// Its id.
    pub id: RoleGrantId,
    /// The member that holds it.
    pub member_id: Option<MemberId>,
    /// The group that holds it.
    pub group_id: Option<GroupId>,
    /// The service account that holds it.
    pub service_account_id: Option<ServiceAccountId>,
    /// The role.
    pub role_id: RoleId,
    /// Where; `None` is the whole tenant.
    pub workspace_id: Option<WorkspaceId>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// The member who gave it, if it was one.
    pub granted_by_member_id: Option<MemberId>,
    /// Why it was given.
    pub reason: Option<String>,
    /// When it was given.
    pub created_at: DateTime<Utc>,
}

impl Grant {
    /// Who holds it. A constraint sees to it that somebody does.
    pub fn principal(&self) -> Option<GrantPrincipal> {
        let member = self.member_id.map(GrantPrincipal::Member);
        let group = self.group_id.map(GrantPrincipal::Group);
        member.or(group).or(self.service_account_id.map(GrantPrincipal::ServiceAccount))
    }

    /// Whether it counts now.
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl Effect for Grant {
    type Key = RoleGrantId;
    fn key(&self) -> RoleGrantId {
        self.id
    }
}

/// Whom a role is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub enum GrantPrincipal {
    /// A member.
    Member(MemberId),
    /// Everybody in a group.
    Group(GroupId),
    /// A service account.
    ServiceAccount(ServiceAccountId),
}

impl GrantPrincipal {
    /// The member, if it is one.
    pub fn member(self) -> Option<MemberId> {
        if let Self::Member(id) = self { Some(id) } else { None }
    }

    /// The group, if it is one.
    pub fn group(self) -> Option<GroupId> {
        if let Self::Group(id) = self { Some(id) } else { None }
    }

    /// The service account, if it is one.
    pub fn service_account(self) -> Option<ServiceAccountId> {
        if let Self::ServiceAccount(id) = self { Some(id) } else { None }
    }
}

/// What somebody says about a new grant.
#[derive(Clone, Debug)]
pub struct GrantDraft {
    /// Whom the role is given to.
    pub principal: GrantPrincipal,
    /// The role.
    pub role: RoleId,
    /// Where; `None` is the whole tenant.
    pub workspace: Option<WorkspaceId>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why.
    pub reason: Option<String>,
}

/// Which grants a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct GrantFind {
    /// Held by this principal itself.
    pub principal: Option<GrantPrincipal>,
    /// Of this role.
    pub role: Option<RoleId>,
    /// On this workspace itself.
    pub workspace: Option<WorkspaceId>,
    /// Those that count now, or those that have ended.
    pub is_active: Option<bool>,
}

/// By what a list of roles is ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleSort {
    /// By creation.
    CreatedAt,
    /// By name, as bytes.
    Name,
}

impl RoleSort {
    /// The name in cursors.
    pub fn key(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::CreatedAt, false) => "created_at+",
            (Self::CreatedAt, true) => "created_at-",
            (Self::Name, false) => "name+",
            (Self::Name, true) => "name-",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> RoleDraft {
        RoleDraft {
            key: None,
            name: "Release manager".to_owned(),
            description: None,
            level: RoleLevel::Tenant,
            says: Says { allow: Permission::TasksWrite.into(), ..Says::default() },
            inherits: None,
        }
    }

    fn seen(draft: RoleDraft) -> Vec<(String, String)> {
        draft.problems().into_iter().map(|problem| (problem.path.join("."), problem.code)).collect()
    }

    fn one(path: &str, code: &str) -> Vec<(String, String)> {
        vec![(path.to_owned(), code.to_owned())]
    }

    #[test]
    fn a_key_comes_from_the_name() {
        assert_eq!(derive_key("Release manager"), "release_manager");
        assert_eq!(derive_key("Ä"), "ae");
        assert_eq!(derive_key("E"), "role_e");
        assert_eq!(derive_key("4 eyes"), "role_4_eyes");
        for name in ["x", "日本", "-", &"long ".repeat(30), "a\0b"] {
            assert!(is_key(&derive_key(name)), "{name}: {}", derive_key(name));
            assert!(key_candidates(name).iter().all(|key| is_key(key)), "{name}");
        }
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        assert_eq!(seen(draft()), []);
        assert_eq!(seen(RoleDraft { name: " ".to_owned(), ..draft() }), one("input.name", "REQUIRED"));
        assert_eq!(seen(RoleDraft { key: Some("Release".to_owned()), ..draft() }), one("input.key", "INVALID"));
        assert_eq!(seen(RoleDraft { key: Some("k".repeat(41)), ..draft() }), one("input.key", "TOO_LONG"));
        let platform = Says { allow: Permission::PlatformImpersonate.into(), ..Says::default() };
        assert_eq!(seen(RoleDraft { says: platform, ..draft() }), one("input.permissions", "INVALID"));
        let tenant_only = Says { deny: Permission::SsoWrite.into(), ..Says::default() };
        assert_eq!(seen(RoleDraft { says: tenant_only, ..draft() }), []);
        let on_workspace = RoleDraft { says: tenant_only, level: RoleLevel::Workspace, ..draft() };
        assert_eq!(seen(on_workspace), one("input.deniedPermissions", "INVALID"));
        let both = Says { allow: Permission::TasksRead.into(), deny: Permission::TasksRead.into() };
        assert_eq!(seen(RoleDraft { says: both, ..draft() }), one("input.deniedPermissions", "INVALID"));
    }
}
