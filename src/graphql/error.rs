//! The one shape of an error that leaves the API through `errors`.
//!
//! An [`ApiError`] has a code that never changes, a message for people, and extensions that a program can use. It holds no
//! cause: whoever makes one from an inner failure logs that failure there and then, so that SQL, paths and the text of a
//! panic have no way out. async-graphql's own conversion from any error with a text is switched off for the same reason.

use std::{borrow::Cow, time::Duration};

use async_graphql::{ErrorExtensionValues, Pos, ServerError, Value};

use super::codes::ErrorCode;
use crate::access::{Permission, PermissionSet};

/// An error with its code, for `errors[]` of the response.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// What went wrong; clients switch on it.
    pub code: ErrorCode,
    /// The same for people, in English.
    pub message: Cow<'static, str>,
    extensions: Vec<(&'static str, Value)>,
}

impl ApiError {
    /// An error with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), extensions: Vec::new() }
    }

    /// `INTERNAL`, with a message that says nothing about the inside. The caller logs the cause.
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "Something failed on our side. The request id finds it in the logs.")
    }

    /// `BAD_USER_INPUT` about this argument.
    pub fn bad_input(argument: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadUserInput, message).with("argument", argument)
    }

    /// `FORBIDDEN` for want of this permission.
    pub fn forbidden(permission: Permission) -> Self {
        Self::new(ErrorCode::Forbidden, format!("This needs the permission {permission}."))
            .with("requiredPermission", permission.name())
    }

    /// Adds an extension.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extensions.push((name, value.into()));
        self
    }

    /// Says which of several reasons it was, for example `expired` with `UNAUTHENTICATED`.
    pub fn reason(self, reason: &'static str) -> Self {
        self.with("reason", reason)
    }

    /// Says when to try again; whole seconds, rounded up, at least one.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with("retryAfterSeconds", seconds.max(1))
    }

    /// Names what is required: any one of these sets is enough.
    pub fn required_scopes(self, any_of: &[PermissionSet]) -> Self {
        let sets = any_of.iter().map(|set| Value::List(set.iter().map(|one| Value::from(one.name())).collect()));
        let list = Value::List(sets.collect());
        let only = match any_of {
            [set] if set.len() == 1 => set.iter().next(),
            _ => None,
        };
        match only {
            Some(permission) => self.with("requiredPermission", permission.name()),
            None => self,
        }
        .with("requiredScopes", list)
    }

    /// The value of an extension.
    pub fn extension(&self, name: &str) -> Option<&Value> {
        self.extensions.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// As an error of the whole request, or at a place in the document.
    pub fn into_server_error(self, at: Option<Pos>) -> ServerError {
        let error: async_graphql::Error = self.into();
        ServerError {
            message: error.message,
            source: error.source,
            locations: at.into_iter().collect(),
            path: Vec::new(),
            extensions: error.extensions,
        }
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(error: ApiError) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", error.code.as_str());
        for (name, value) in error.extensions {
            extensions.set(name, value);
        }
        let mut out = async_graphql::Error::new(error.message.into_owned());
        out.extensions = Some(extensions);
        out
    }
}

/// The code of an error on its way out, if it is one of ours.
pub fn code_of(error: &ServerError) -> Option<ErrorCode> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(text) => ErrorCode::parse(text),
        _ => None,
    }
}

/// Completes the errors of a response: each gets the request id, and a code where the engine gave none.
///
/// The engine's own errors are those of validation, which have no path, and of arguments that do not fit, which have one.
pub fn finish(errors: &mut [ServerError], request_id: &str) {
    for error in errors {
        let code = code_of(error).unwrap_or(match error.path.is_empty() {
            true => ErrorCode::GraphqlValidationFailed,
            false => ErrorCode::BadUserInput,
        });
        let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
        extensions.set("code", code.as_str());
        extensions.set("requestId", request_id);
        error.source = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_extensions_reach_the_response() {
        let error = ApiError::forbidden(Permission::TasksWrite).with("scope", "workspace");
        let mut out = [error.into_server_error(Some(Pos { line: 2, column: 3 }))];
        finish(&mut out, "0af7651916cd43dd8448eb211c80319c");
        insta::assert_snapshot!(serde_json::to_string(&out[0]).expect("serialises"), @r#"{"message":"This needs the permission tasks:write.","locations":[{"line":2,"column":3}],"extensions":{"code":"FORBIDDEN","requestId":"0af7651916cd43dd8448eb211c80319c","requiredPermission":"tasks:write","scope":"workspace"}}"#);
    }

    #[test]
    fn an_error_of_the_engine_gets_a_code() {
        let mut out = [ServerError::new("Unknown field", None), ServerError::new("Failed to parse", None)];
        out[1].path = vec![async_graphql::PathSegment::Field("tasks".into())];
        finish(&mut out, "x");
        assert_eq!(code_of(&out[0]), Some(ErrorCode::GraphqlValidationFailed));
        assert_eq!(code_of(&out[1]), Some(ErrorCode::BadUserInput));
    }

    #[test]
    fn waiting_time_is_rounded_up() {
        let error = ApiError::new(ErrorCode::RateLimited, "Slow down.").retry_after(Duration::from_millis(1_200));
        assert_eq!(error.extension("retryAfterSeconds"), Some(&Value::from(2)));
    }
}
