//! Projects and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{Queryable, Selectable};

use crate::{
    db::tables::projects,
    ids::{MemberId, ProjectId, WorkspaceId},
    text_enum,
};

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
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
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
