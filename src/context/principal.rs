//! The one who asks.

use crate::ids::{ApiKeyId, Id, MemberId, ServiceAccountId, SessionId, TenantId, UserId};

/// The one who asks, as proven by the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// No credential was sent.
    Anonymous,
    /// A person with a session.
    Person {
        /// Who it is.
        user: UserId,
        /// By which session.
        session: SessionId,
    },
    /// A tenant's API key.
    ApiKey {
        /// Which key.
        key: ApiKeyId,
        /// The key's own tenant.
        tenant: TenantId,
    },
    /// An operator at the command line, acting through the platform login.
    Operator {
        /// The operating system's name of the operator, for the audit log.
        label: String,
    },
}

/// What a principal is in a tenant: the one who holds the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantHolder {
    /// A person, as a member.
    Member(MemberId),
    /// A program; its API keys act for it.
    ServiceAccount(ServiceAccountId),
}

impl GrantHolder {
    /// The member, if it is one.
    pub fn member(self) -> Option<MemberId> {
        match self {
            Self::Member(member) => Some(member),
            Self::ServiceAccount(_) => None,
        }
    }

    /// The service account, if it is one.
    pub fn service_account(self) -> Option<ServiceAccountId> {
        match self {
            Self::Member(_) => None,
            Self::ServiceAccount(account) => Some(account),
        }
    }

    /// The uuid inside, for the audit log.
    pub fn uuid(self) -> uuid::Uuid {
        match self {
            Self::Member(member) => member.uuid(),
            Self::ServiceAccount(account) => account.uuid(),
        }
    }
}

impl std::fmt::Display for GrantHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member(member) => member.fmt(f),
            Self::ServiceAccount(account) => account.fmt(f),
        }
    }
}

impl serde::Serialize for GrantHolder {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for GrantHolder {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        let member = text.parse().map(Self::Member);
        member.or_else(|_| text.parse().map(Self::ServiceAccount)).map_err(serde::de::Error::custom)
    }
}

impl Principal {
    /// The person, if it is one.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Person { user, .. } => Some(*user),
            _ => None,
        }
    }

    /// False for [`Anonymous`](Self::Anonymous) only.
    pub fn is_authenticated(&self) -> bool {
        *self != Self::Anonymous
    }

    /// A stable name of the principal inside a tenant: what idempotency keys and buckets are kept under.
    pub fn key(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Person { user, .. } => user.to_string(),
            Self::ApiKey { key, .. } => key.to_string(),
            Self::Operator { label } => format!("operator:{label}"),
        }
    }
}
