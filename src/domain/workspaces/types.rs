//! Workspaces and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{AsChangeset, Insertable, Queryable, QueryableByName, Selectable};

use super::slug;
use crate::{
    db::tables::{workspace_members, workspaces},
    domain::{Problem, mutation::Effect, text},
    ids::{MemberId, WorkspaceId, WorkspaceMemberId},
    text_enum,
};

/// Longest name, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 120;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Most bytes of settings, in the form the database stores.
pub const MAX_SETTINGS_BYTES: usize = 16_384;
/// How deep workspaces nest; a trigger refuses the sixth level.
pub const MAX_DEPTH: i32 = 5;

text_enum! {
    /// Who sees a workspace.
    pub enum Visibility {
        /// Everybody in the tenant who may see workspaces.
        Tenant = "tenant",
        /// Those with a role on it or on a workspace above it, and those who manage all workspaces.
        Private = "private",
    }
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = workspaces)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name in addresses, unique in the tenant.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// More, or empty.
    pub description: String,
    /// The one workspace that every tenant has.
    pub is_default: bool,
    /// The workspace it is in.
    pub parent_workspace_id: Option<WorkspaceId>,
    /// Who sees it.
    pub visibility: Visibility,
    /// When it was archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// Free settings: a JSON object.
    pub settings: serde_json::Value,
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Effect for Workspace {
    type Key = WorkspaceId;
    fn key(&self) -> WorkspaceId {
        self.id
    }
}

/// A workspace to be created, checked.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = workspaces)]
pub struct NewWorkspace {
    pub(super) id: WorkspaceId,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) parent_workspace_id: Option<WorkspaceId>,
    pub(super) visibility: Visibility,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// What somebody says about a new workspace.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceDraft {
    /// Its name for people.
    pub name: String,
    /// Its name in addresses; made of `name` if not said.
    pub slug: Option<String>,
    /// More, or nothing.
    pub description: Option<String>,
    /// The workspace it shall be in.
    pub parent: Option<WorkspaceId>,
    /// Who shall see it; [`Visibility::Tenant`] if not said.
    pub visibility: Option<Visibility>,
}

impl WorkspaceDraft {
    /// What is wrong with it; paths begin with `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(name_problem(&self.name, at));
        problems.extend(self.slug.as_deref().and_then(|slug| slug_problem(slug, at)));
        problems.extend(self.description.as_deref().and_then(|text| description_problem(text, at)));
        problems
    }

    pub(super) fn checked(self, id: WorkspaceId, slug: String, now: DateTime<Utc>) -> NewWorkspace {
        NewWorkspace {
            id,
            slug,
            name: self.name.trim().to_owned(),
            description: self.description.unwrap_or_default(),
            parent_workspace_id: self.parent,
            visibility: self.visibility.unwrap_or(Visibility::Tenant),
            created_at: now,
            updated_at: now,
        }
    }
}

/// Changes of a workspace: absent keeps, `Some(None)` clears.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = workspaces)]
pub struct WorkspaceChanges {
    /// A new name.
    pub name: Option<String>,
    /// A new slug.
    pub slug: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// Another place in the tree.
    pub parent_workspace_id: Option<Option<WorkspaceId>>,
    /// Who shall see it.
    pub visibility: Option<Visibility>,
    /// New settings, all of them.
    pub settings: Option<serde_json::Value>,
    /// Set and cleared by archive and restore.
    pub(super) archived_at: Option<Option<DateTime<Utc>>>,
}

impl WorkspaceChanges {
    /// What is wrong with them; paths begin with `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.name.as_deref().and_then(|name| name_problem(name, at)));
        problems.extend(self.slug.as_deref().and_then(|slug| slug_problem(slug, at)));
        problems.extend(self.description.as_deref().and_then(|text| description_problem(text, at)));
        let settings = self.settings.as_ref();
        problems.extend(settings.and_then(|json| text::settings(json, &format!("{at}.settings"), MAX_SETTINGS_BYTES)));
        problems
    }

    /// The names of the changed fields, for the audit entry.
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("name", self.name.is_some()),
            ("slug", self.slug.is_some()),
            ("description", self.description.is_some()),
            ("parentId", self.parent_workspace_id.is_some()),
            ("visibility", self.visibility.is_some()),
            ("settings", self.settings.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }
}

fn name_problem(name: &str, at: &str) -> Option<Problem> {
    text::line(name, &format!("{at}.name"), "A name", MAX_NAME_CHARS)
}

fn slug_problem(text: &str, at: &str) -> Option<Problem> {
    slug::problem(text, &format!("{at}.slug"))
}

fn description_problem(text: &str, at: &str) -> Option<Problem> {
    text::block(text, &format!("{at}.description"), "A description", MAX_DESCRIPTION_CHARS)
}

/// Which workspaces a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct WorkspaceFind {
    /// Archived ones, or those in use.
    pub is_archived: Option<bool>,
    /// Directly in this workspace.
    pub parent: Option<WorkspaceId>,
}

/// By what a list of workspaces is ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkspaceSort {
    /// By creation.
    CreatedAt,
    /// By name, as bytes.
    Name,
}

impl WorkspaceSort {
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

/// A member's place in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = workspace_members)]
pub struct WorkspaceMember {
    /// Its id.
    pub id: WorkspaceMemberId,
    /// Who belongs to the workspace.
    pub member_id: MemberId,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

impl Effect for WorkspaceMember {
    type Key = WorkspaceMemberId;
    fn key(&self) -> WorkspaceMemberId {
        self.id
    }
}

/// A member who was taken out of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenOut(pub MemberId);

impl Effect for TakenOut {
    type Key = MemberId;
    fn key(&self) -> MemberId {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(problems: Vec<Problem>) -> Vec<(String, String)> {
        problems.into_iter().map(|problem| (problem.path.join("."), problem.code)).collect()
    }

    #[test]
    fn every_problem_of_a_draft_is_named_with_its_place() {
        let draft = WorkspaceDraft {
            name: " ".to_owned(),
            slug: Some("Not a slug".to_owned()),
            description: Some("x".repeat(MAX_DESCRIPTION_CHARS + 1)),
            ..WorkspaceDraft::default()
        };
        let expected = [("input.name", "REQUIRED"), ("input.slug", "INVALID"), ("input.description", "TOO_LONG")];
        assert_eq!(seen(draft.problems("input")), expected.map(|(path, code)| (path.to_owned(), code.to_owned())));
        let good = WorkspaceDraft { name: "Atlas".to_owned(), ..WorkspaceDraft::default() };
        assert_eq!(good.problems("input"), []);
    }

    #[test]
    fn changes_are_checked_and_named() {
        let changes = WorkspaceChanges {
            name: Some("x".repeat(MAX_NAME_CHARS + 1)),
            slug: Some("api".to_owned()),
            parent_workspace_id: Some(None),
            settings: Some(json!([1])),
            ..WorkspaceChanges::default()
        };
        let expected = [("input.name", "TOO_LONG"), ("input.slug", "RESERVED"), ("input.settings", "INVALID")];
        assert_eq!(seen(changes.problems("input")), expected.map(|(path, code)| (path.to_owned(), code.to_owned())));
        assert_eq!(changes.names(), ["name", "slug", "parentId", "settings"]);
        assert_eq!(WorkspaceChanges::default().problems("input"), []);
    }
}
