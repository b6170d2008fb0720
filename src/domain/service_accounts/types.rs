//! Service accounts and what is true of them.

use chrono::{DateTime, Utc};
use diesel::{AsChangeset, Insertable, Queryable, Selectable};

use crate::{
    db::tables::service_accounts,
    domain::{Problem, mutation::Effect, text},
    ids::{MemberId, ServiceAccountId},
    text_enum,
};

/// Longest name, in characters. The table has the same CHECK.
pub const MAX_NAME_CHARS: usize = 80;
/// Longest description, in characters. The table has the same CHECK.
pub const MAX_DESCRIPTION_CHARS: usize = 300;

text_enum! {
    /// Whether a service account is in use.
    pub enum ServiceAccountStatus {
        /// Its keys act for it.
        Active = "active",
        /// Its keys are refused.
        Disabled = "disabled",
    }
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = service_accounts)]
pub struct ServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// What it is for, or empty.
    pub description: String,
    /// The member to ask about it.
    pub owner_member_id: Option<MemberId>,
    /// Whether it is in use.
    pub status: ServiceAccountStatus,
    /// Grows with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Effect for ServiceAccount {
    type Key = ServiceAccountId;
    fn key(&self) -> ServiceAccountId {
        self.id
    }
}

/// A service account to be created, checked.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = service_accounts)]
pub struct NewServiceAccount {
    pub(super) id: ServiceAccountId,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) owner_member_id: Option<MemberId>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// Changes of a service account: absent keeps, `Some(None)` clears.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = service_accounts)]
pub struct ServiceAccountChanges {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// Another member to ask about it.
    pub owner_member_id: Option<Option<MemberId>>,
    /// Changed by disabling and enabling.
    pub(super) status: Option<ServiceAccountStatus>,
}

impl ServiceAccountChanges {
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
        Self { name: trimmed(self.name), description: trimmed(self.description), ..self }
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
