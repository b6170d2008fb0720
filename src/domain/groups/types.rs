//! Groups and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{AsChangeset, Insertable, Queryable, Selectable};

use crate::{
    db::tables::groups,
    domain::{Problem, mutation::Effect, text},
    ids::{GroupId, MemberId},
};

/// Longest name, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 80;
/// Longest description, in characters. The table has the same CHECK.
pub const MAX_DESCRIPTION_CHARS: usize = 300;
/// Most members that join or leave at once.
pub const MAX_AT_ONCE: usize = 100;

/// A group of members.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = groups)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// What it is for, or empty.
    pub description: String,
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Effect for Group {
    type Key = GroupId;
    fn key(&self) -> GroupId {
        self.id
    }
}

/// A member's place in a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupMember {
    /// The group.
    pub group_id: GroupId,
    /// The member.
    pub member_id: MemberId,
    /// When the member was added.
    pub created_at: DateTime<Utc>,
}

/// A group to be created, checked.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = groups)]
pub struct NewGroup {
    pub(super) id: GroupId,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// Changes of a group: absent keeps.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = groups)]
pub struct GroupChanges {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
}

impl GroupChanges {
    /// What is wrong with them; paths begin with `input`.
    pub fn problems(&self) -> Vec<Problem> {
        let name = self.name.as_deref();
        let name = name.and_then(|name| text::line(name, "input.name", "A name", MAX_NAME_CHARS));
        let description = self.description.as_deref();
        let description =
            description.and_then(|text| text::block(text, "input.description", "A description", MAX_DESCRIPTION_CHARS));
        name.into_iter().chain(description).collect()
    }

    /// The same without blanks around.
    pub(super) fn trimmed(self) -> Self {
        let trimmed = |text: Option<String>| text.map(|text| text.trim().to_owned());
        Self { name: trimmed(self.name), description: trimmed(self.description) }
    }

    /// The names of the changed fields, for the audit entry.
    pub fn names(&self) -> Vec<&'static str> {
        [("name", self.name.is_some()), ("description", self.description.is_some())]
            .into_iter()
            .filter_map(|(name, is_changed)| is_changed.then_some(name))
            .collect()
    }
}
