//! The one who asks.

use crate::ids::{ApiKeyId, SessionId, TenantId, UserId};

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
