//! What can go wrong between us and PostgreSQL, sorted by what a caller could do about it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A failure of the database or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A unique constraint was violated; the name of the constraint.
    #[error("unique constraint {0} was violated")]
    Unique(String),
    /// A foreign key was violated; the name of the constraint.
    #[error("foreign key {0} was violated")]
    ForeignKey(String),
    /// A check constraint was violated; the name of the constraint.
    #[error("check constraint {0} was violated")]
    Check(String),
    /// No connection became free in time.
    #[error("no database connection became free within the waiting time")]
    PoolExhausted,
    /// The database cannot be reached, or the connection was lost.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// PostgreSQL stopped the statement: statement timeout or cancel request (SQLSTATE 57014).
    #[error("the statement was cancelled")]
    Cancelled,
    /// The transaction was used after one of its statements had failed.
    #[error("the transaction had failed before and was not committed")]
    Aborted,
    /// The transaction was used after its `COMMIT` had left.
    #[error("the transaction had ended before")]
    Ended,
    /// A connection was asked for by a request that already holds one.
    #[error("a request waited for a connection while holding one")]
    WaitsWhileHolding,
    /// The transaction kind needs a login that is not configured.
    #[error("no database URL is configured for the {0} login")]
    NotConfigured(&'static str),
    /// Anything else PostgreSQL or diesel reported.
    #[error("the database refused the statement")]
    Other(#[source] DieselError),
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, info) => {
                let constraint = || info.constraint_name().unwrap_or("?").to_owned();
                match kind {
                    DatabaseErrorKind::UniqueViolation => Self::Unique(constraint()),
                    DatabaseErrorKind::ForeignKeyViolation => Self::ForeignKey(constraint()),
                    DatabaseErrorKind::CheckViolation => Self::Check(constraint()),
                    DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                        Self::Unavailable(info.message().to_owned().into())
                    }
                    _ if info.message().starts_with("canceling statement") => Self::Cancelled,
                    // 57P01 admin_shutdown, 57P02 crash_shutdown, 57P03 cannot_connect_now
                    _ if info.message().starts_with("terminating connection")
                        || info.message().starts_with("the database system is") =>
                    {
                        Self::Unavailable(info.message().to_owned().into())
                    }
                    _ => Self::Other(DieselError::DatabaseError(kind, info)),
                }
            }
            other => Self::Other(other),
        }
    }
}

impl DbError {
    /// True when trying again later may help: the database was away or busy, nothing is wrong with the request.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::PoolExhausted | Self::Unavailable(_))
    }
}
