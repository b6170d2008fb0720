//! Projects and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{AsChangeset, Insertable, Queryable, QueryableByName, Selectable};

use crate::{
    db::tables::projects,
    domain::{Problem, mutation::Effect, text},
    ids::{MemberId, ProjectId, WorkspaceId},
    text_enum,
};

/// Longest name, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 120;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 10_000;

text_enum! {
    /// Where a project stands.
    pub enum ProjectState {
        /// In use.
        Active = "active",
        /// Closed; its tasks can be read and not changed.
        Archived = "archived",
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = projects)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The workspace it is in.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// More, or empty.
    pub description: String,
    /// Where it stands.
    pub state: ProjectState,
    /// The member who answers for it.
    pub owner_member_id: Option<MemberId>,
    /// When it was archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Effect for Project {
    type Key = ProjectId;
    fn key(&self) -> ProjectId {
        self.id
    }
}

/// A project to be created, checked.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = projects)]
pub struct NewProject {
    pub(super) id: ProjectId,
    pub(super) workspace_id: WorkspaceId,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) owner_member_id: Option<MemberId>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// What somebody says about a new project.
#[derive(Clone, Debug, Default)]
pub struct ProjectDraft {
    /// Its name.
    pub name: String,
    /// More, or nothing.
    pub description: Option<String>,
    /// The member who shall answer for it.
    pub owner: Option<MemberId>,
}

impl ProjectDraft {
    /// What is wrong with it; paths begin with `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let description = self.description.as_deref().and_then(|text| description_problem(text, at));
        name_problem(&self.name, at).into_iter().chain(description).collect()
    }

    pub(super) fn checked(self, workspace: WorkspaceId, id: ProjectId, now: DateTime<Utc>) -> NewProject {
        NewProject {
            id,
            workspace_id: workspace,
            name: self.name.trim().to_owned(),
            description: self.description.unwrap_or_default(),
            owner_member_id: self.owner,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Changes of a project: absent keeps, `Some(None)` clears.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = projects)]
pub struct ProjectChanges {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// Another member who answers for it.
    pub owner_member_id: Option<Option<MemberId>>,
    /// Changed by archiving, together with `archived_at`.
    pub(super) state: Option<ProjectState>,
    pub(super) archived_at: Option<Option<DateTime<Utc>>>,
}

impl ProjectChanges {
    /// What is wrong with them; paths begin with `at`.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let name = self.name.as_deref().and_then(|name| name_problem(name, at));
        let description = self.description.as_deref().and_then(|text| description_problem(text, at));
        name.into_iter().chain(description).collect()
    }

    /// The names of the changed fields, for the audit entry.
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("ownerId", self.owner_member_id.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }
}

fn name_problem(name: &str, at: &str) -> Option<Problem> {
    text::line(name, &format!("{at}.name"), "A name", MAX_NAME_CHARS)
}

fn description_problem(text: &str, at: &str) -> Option<Problem> {
    text::block(text, &format!("{at}.description"), "A description", MAX_DESCRIPTION_CHARS)
}

/// Which projects a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct ProjectFind {
    /// In this workspace.
    pub workspace: Option<WorkspaceId>,
    /// In this state.
    pub state: Option<ProjectState>,
}

/// By what a list of projects is ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProjectSort {
    /// By creation.
    CreatedAt,
    /// By name, as bytes.
    Name,
}

impl ProjectSort {
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

    fn seen(problems: Vec<Problem>) -> Vec<(String, String)> {
        problems.into_iter().map(|problem| (problem.path.join("."), problem.code)).collect()
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let draft = ProjectDraft {
            name: "a\0".to_owned(),
            description: Some("x".repeat(MAX_DESCRIPTION_CHARS + 1)),
            owner: None,
        };
        let expected = [("input.name", "INVALID"), ("input.description", "TOO_LONG")];
        assert_eq!(seen(draft.problems("input")), expected.map(|(path, code)| (path.to_owned(), code.to_owned())));
        let changes = ProjectChanges { name: Some(String::new()), ..ProjectChanges::default() };
        assert_eq!(seen(changes.problems("input")), [("input.name".to_owned(), "REQUIRED".to_owned())]);
        assert_eq!(changes.names(), ["name"]);
        assert_eq!(ProjectChanges::default().problems("input"), []);
    }
}
