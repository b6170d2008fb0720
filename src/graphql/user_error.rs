//! What a user can correct: the `userErrors` of a payload.

use async_graphql::SimpleObject;

use super::{codes::UserErrorCode, directives::cost, scalars::Json};

/// One reason why a mutation changed nothing. A payload with a user error has written nothing at all.
#[derive(Debug, Clone, PartialEq, SimpleObject)]
#[graphql(directive = cost::apply(0))]
pub struct UserError {
    /// What is wrong; switch on this, it never changes.
    pub code: UserErrorCode,
    /// The same for people, in English; may change.
    pub message: String,
    /// The way to the value in the input, list positions as text: `["input", "emails", "3"]`. Empty is the whole input.
    pub path: Vec<String>,
    /// Figures for a translated message, for example `{"max": 80}`.
    pub params: Option<Json>,
}

impl UserError {
    /// A user error about the whole input.
    pub fn new(code: UserErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: Vec::new(), params: None }
    }

    /// A user error about the value at this path of the input.
    pub fn at<S: Into<String>>(
        path: impl IntoIterator<Item = S>,
        code: UserErrorCode,
        message: impl Into<String>,
    ) -> Self {
        Self { path: path.into_iter().map(Into::into).collect(), ..Self::new(code, message) }
    }

    /// Adds figures for a translated message.
    pub fn with_params(mut self, params: serde_json::Value) -> Self {
        self.params = Some(Json(params));
        self
    }
}
