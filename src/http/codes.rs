//! The error codes that the transport itself answers with.

use http::StatusCode;

use super::accept::MediaType;

/// A code of `errors[].extensions.code` with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    BadRequest,
    BatchNotAllowed,
    CsrfRejected,
    GraphqlParseFailed,
    GraphqlValidationFailed,
    Internal,
    PayloadTooLarge,
    Timeout,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::BatchNotAllowed => "BATCH_NOT_ALLOWED",
            Self::CsrfRejected => "CSRF_REJECTED",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::Internal => "INTERNAL",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::Timeout => "TIMEOUT",
        }
    }

    pub fn status(self, media: MediaType) -> StatusCode {
        match (self, media) {
            (Self::GraphqlParseFailed | Self::GraphqlValidationFailed | Self::Timeout, MediaType::Json) => {
                StatusCode::OK
            }
            (Self::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
            (Self::PayloadTooLarge, _) => StatusCode::PAYLOAD_TOO_LARGE,
            (Self::Timeout, _) => StatusCode::GATEWAY_TIMEOUT,
            (Self::CsrfRejected, _) => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::BadRequest,
            Self::BatchNotAllowed,
            Self::CsrfRejected,
            Self::GraphqlParseFailed,
            Self::GraphqlValidationFailed,
            Self::Internal,
            Self::PayloadTooLarge,
            Self::Timeout,
        ]
        .into_iter()
        .find(|code| code.as_str() == text)
    }
}
