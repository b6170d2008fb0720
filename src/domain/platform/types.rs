//! What operators give and get.

use chrono::{DateTime, Utc};

use crate::{
    domain::mutation::Effect,
    ids::{MemberId, TenantId, UserId, WorkspaceId},
};

/// A tenant to be created.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Its slug: lower-case letters, digits and dashes.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// The person who owns it first.
    pub owner: UserId,
    /// The key of its plan.
    pub plan: String,
}

/// A tenant that was just created.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// Its first owner.
    pub owner: MemberId,
    /// Its default workspace.
    pub workspace: WorkspaceId,
}

impl Effect for CreatedTenant {
    type Key = Self;
    fn key(&self) -> Self {
        *self
    }
}

/// A tenant in an operator's list.
#[derive(Clone, Debug)]
pub struct TenantLine {
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A member that was just made.
#[derive(Clone, Copy, Debug)]
pub struct AddedMember(pub MemberId);

impl Effect for AddedMember {
    type Key = MemberId;
    fn key(&self) -> MemberId {
        self.0
    }
}

/// A tenant whose status was changed.
#[derive(Clone, Copy, Debug)]
pub struct ChangedTenant(pub TenantId);

impl Effect for ChangedTenant {
    type Key = TenantId;
    fn key(&self) -> TenantId {
        self.0
    }
}
