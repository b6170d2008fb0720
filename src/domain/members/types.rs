//! Members, the people behind them, and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{Queryable, Selectable};

use crate::{
    db::tables::members,
    domain::mutation::Effect,
    ids::{MemberId, RoleId, UserId, WorkspaceId},
    text_enum,
};

/// Longest name that a member goes by, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 120;
/// Shortest text to search for, in characters.
pub const MIN_SEARCH_CHARS: usize = 2;
/// Longest text to search for, in characters.
pub const MAX_SEARCH_CHARS: usize = 100;

text_enum! {
    /// Where a member stands.
    pub enum MemberStatus {
        /// Takes part.
        Active = "active",
        /// Shut out for a while; keeps the roles and gives the seat back.
        Suspended = "suspended",
        /// No longer a member; not in lists.
        Removed = "removed",
    }
}

/// A person inside a tenant.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = members)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// The person.
    pub user_id: UserId,
    /// Where the member stands.
    pub status: MemberStatus,
    /// The name the member goes by here, if another than the person's own.
    pub display_name_override: Option<String>,
    /// When the person became a member.
    pub joined_at: DateTime<Utc>,
    /// Grows with every change.
    pub version: i32,
    /// When the entry was made.
    pub created_at: DateTime<Utc>,
}

impl Effect for Member {
    type Key = MemberId;
    fn key(&self) -> MemberId {
        self.id
    }
}

/// A member who is none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Who.
    pub member: MemberId,
}

impl Effect for Gone {
    type Key = MemberId;
    fn key(&self) -> MemberId {
        self.member
    }
}

/// A person, as far as a fellow member may see.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The person's own name for themselves.
    pub display_name: String,
    /// The primary address, once it is verified.
    pub email: Option<String>,
}

/// Which members somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Everybody.
    All,
    /// Those who belong to one of these workspaces or hold a role on it, and oneself.
    Within {
        /// The workspaces.
        workspaces: Vec<WorkspaceId>,
        /// Oneself.
        own: Option<MemberId>,
    },
    /// Nobody.
    None,
}

/// Which members a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct MemberFind {
    /// With this status.
    pub status: Option<MemberStatus>,
    /// Who hold this role, somewhere.
    pub role: Option<RoleId>,
    /// Who are found by all of these terms of the search table; see `app.search_terms_for`.
    pub terms: Option<Vec<String>>,
}
