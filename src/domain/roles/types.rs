//! Roles and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{Queryable, Selectable};

use crate::{
    db::tables::{role_grants, roles},
    ids::{GroupId, MemberId, RoleGrantId, RoleId, ServiceAccountId, WorkspaceId},
    text_enum,
};

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
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A role given to a member, a group or a service account: one of the three.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
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
    /// When it was given.
    pub created_at: DateTime<Utc>,
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
