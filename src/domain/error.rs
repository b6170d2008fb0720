//! The one error of the slices.
//!
//! Two channels. What a user can correct becomes the payload's `userErrors`, and then nothing was written. The rest goes
//! to `errors` with a code. Absent, foreign and invisible look alike: null in a query, `NOT_FOUND` in a mutation.

use crate::{
    context::{Denied, TenantRequired},
    db::DbError,
    graphql::{
        codes::{ErrorCode, UserErrorCode},
        error::ApiError,
    },
};

/// Something in the input that its sender can correct.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// What is wrong.
    pub code: String,
    /// The same for people.
    pub message: String,
    /// Where in the input: `["input", "rows", "17", "title"]`; empty means the whole input.
    pub path: Vec<String>,
    /// Values for a translated message.
    pub params: Option<serde_json::Value>,
}

impl Problem {
    /// A problem at a place in the input, for example `"input.title"`.
    pub fn new(code: UserErrorCode, path: &str, message: impl Into<String>) -> Self {
        let path = path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { code: code.as_str().to_owned(), message: message.into(), path, params: None }
    }

    /// Adds values for a translated message.
    pub fn params(mut self, params: serde_json::Value) -> Self {
        self.params = Some(params);
        self
    }

    /// There is nothing with this id that the caller may see.
    pub fn not_found(path: &str, what: &str) -> Self {
        Self::new(UserErrorCode::NotFound, path, format!("There is no {what} with this id that you may see."))
    }

    /// Somebody changed it in the meantime.
    pub fn stale(path: &str, current: i32) -> Self {
        Self::new(
            UserErrorCode::StaleVersion,
            path,
            "It was changed in the meantime. Read it again and repeat the change.",
        )
        .params(serde_json::json!({ "current": current }))
    }
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input has problems that its sender can correct; nothing was written.
    #[error("the input was refused: {0:?}")]
    Rejected(Vec<Problem>),
    /// The principal may see the thing but not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The request names no tenant.
    #[error(transparent)]
    TenantRequired(#[from] TenantRequired),
    /// A refusal with its final form.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Something that cannot happen did; the text is for the log.
    #[error("{0}")]
    Broken(String),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Rejected(vec![problem])
    }
}

impl From<crate::ids::InvalidId> for Error {
    fn from(error: crate::ids::InvalidId) -> Self {
        Self::Api(ApiError::new(ErrorCode::InvalidId, error.to_string()))
    }
}

impl Error {
    /// The form in which the error leaves through `errors`. Logs what must not leave.
    pub fn into_api(self) -> ApiError {
        match self {
            Self::Api(error) => error,
            Self::Denied(denied) => ApiError::forbidden(denied.permission),
            Self::TenantRequired(error) => ApiError::new(ErrorCode::TenantRequired, error.to_string()),
            // A rejected input that no payload took: still the sender's to correct.
            Self::Rejected(problems) => ApiError::new(
                ErrorCode::BadUserInput,
                problems.first().map_or_else(|| "The input was refused.".to_owned(), |problem| problem.message.clone()),
            ),
            Self::Db(error) => db_error(&error),
            Self::Broken(what) => {
                tracing::error!(what, "an invariant does not hold");
                ApiError::internal()
            }
        }
    }
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        error.into_api().into()
    }
}

/// How a failure of the database looks from outside: what to do, and nothing about the inside.
pub fn db_error(error: &DbError) -> ApiError {
    match error {
        DbError::PoolExhausted => ApiError::new(ErrorCode::Unavailable, "The server is busy. Try again soon.")
            .retry_after(std::time::Duration::from_secs(1)),
        DbError::Unavailable(_) => {
            tracing::warn!(error = %chain(error), "the database cannot be reached");
            ApiError::new(ErrorCode::Unavailable, "The database cannot be reached at present. Try again soon.")
                .retry_after(std::time::Duration::from_secs(1))
        }
        DbError::Cancelled => {
            ApiError::new(ErrorCode::Timeout, "A statement took longer than allowed. Ask for less, or try again later.")
        }
        other => {
            tracing::error!(error = %chain(other), "a statement failed");
            ApiError::internal()
        }
    }
}

/// An error with its causes on one line, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
