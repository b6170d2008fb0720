//! Writes answers down: a GraphQL body, its status and its headers.

use std::{borrow::Cow, collections::BTreeMap};

use async_graphql::{Response as GraphqlResponse, ServerError, Value};
use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::accept::MediaType;
use crate::{
    graphql::{
        ApiError, ErrorCode,
        error::{code_of, finish},
    },
    ids::RequestId,
};

/// A request that was refused before anything ran; answered without `data`.
#[derive(Debug)]
pub struct Refusal {
    /// Decides the status, together with the media type.
    pub code: ErrorCode,
    /// Where HTTP has a status of its own for the case (405, 406, 408, 415), whatever the media type.
    pub status: Option<StatusCode>,
    /// At least one; each with its code in `extensions`.
    pub errors: Vec<ServerError>,
    /// For example `Allow` or `Retry-After`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with one error.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        ApiError::new(code, message).into()
    }

    /// The same with a status that HTTP itself defines for the case.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A mutation that came by GET: 405, and `Allow` says by what it may come.
    pub fn mutation_over_get() -> Self {
        Self::new(ErrorCode::BadRequest, "A mutation must be sent by POST; GET is for queries.")
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
            .with_header(header::ALLOW, HeaderValue::from_static("POST"))
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let retry = error.extension("retryAfterSeconds").and_then(|seconds| seconds.to_string().parse().ok());
        let headers = retry.map(|seconds| (header::RETRY_AFTER, seconds)).into_iter().collect();
        Self { code: error.code, status: None, errors: vec![error.into_server_error(None)], headers }
    }
}

/// What an operation was charged and what is left, in points: `extensions.cost`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Its price, taken before it ran.
    pub requested: u64,
    /// What its answer is worth; the rest was put back.
    pub actual: u64,
    /// The tenant's bucket.
    pub tenant: Option<CostBucket>,
    /// That of the one who asks.
    pub principal: Option<CostBucket>,
    /// SQL statements, where they are to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql_statements: Option<u32>,
    /// Rows that came back, where they are to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
}

/// A bucket of points.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostBucket {
    /// What a full one holds.
    pub limit: u64,
    /// What it holds.
    pub remaining: u64,
    /// What flows into it in a second.
    pub refill_per_second: f64,
}

/// The body of a refusal. `application/json` is used where the client accepts neither of our types.
pub(super) fn refused(mut refusal: Refusal, media: Option<MediaType>, request: RequestId) -> Response {
    let media = media.unwrap_or(MediaType::Json);
    let status = refusal.status.unwrap_or_else(|| status_of(refusal.code, media));
    let extensions = Extensions { request_id: request.to_string(), cost: None, rest: &BTreeMap::new() };
    finish(&mut refusal.errors, &extensions.request_id);
    let body = Reply { errors: &refusal.errors, data: None, extensions: &extensions };
    let mut response = written(&body, status, media);
    for (name, value) in refusal.headers {
        response.headers_mut().append(name, value);
    }
    response
}

/// The body of an executed operation.
///
/// 200 whatever fields failed, under both media types. What the engine refused before it began (a document that is not
/// valid, variables of the wrong type) has no `data`, and the status of its first error.
pub(super) fn executed(
    mut executed: GraphqlResponse,
    cost: Option<&Cost>,
    media: MediaType,
    request: RequestId,
) -> Response {
    let began = began(&executed);
    let status = match executed.errors.first() {
        Some(error) if !began => status_of(code_of(error).unwrap_or(ErrorCode::GraphqlValidationFailed), media),
        _ => StatusCode::OK,
    };
    let headers = std::mem::take(&mut executed.http_headers);
    let extensions = Extensions { request_id: request.to_string(), cost, rest: &executed.extensions };
    finish(&mut executed.errors, &extensions.request_id);
    let body = Reply { errors: &executed.errors, data: began.then_some(&executed.data), extensions: &extensions };
    let mut response = written(&body, status, media);
    response.headers_mut().extend(headers);
    response
}

/// Whether execution began: then there is data, or an error that has a path to the field that took it away.
pub(crate) fn began(response: &GraphqlResponse) -> bool {
    response.data != Value::Null
        || response.errors.is_empty()
        || response.errors.iter().any(|error| !error.path.is_empty())
}

fn status_of(code: ErrorCode, media: MediaType) -> StatusCode {
    let status = match media {
        MediaType::GraphqlResponse => code.status(),
        MediaType::Json => code.json_status(),
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error at an address that is not GraphQL's: the same form, always as plain JSON.
pub(super) fn plain_error(code: ErrorCode, status: StatusCode, message: &'static str, request: RequestId) -> Response {
    refused(Refusal::new(code, message).with_status(status), None, request)
}

/// Errors stand first, as the GraphQL specification (section 7.1) suggests: a reader of logs sees them at once.
#[derive(Serialize)]
struct Reply<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    extensions: &'a Extensions<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extensions<'a> {
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'a Cost>,
    #[serde(flatten)]
    rest: &'a BTreeMap<String, Value>,
}

fn written(body: &Reply<'_>, status: StatusCode, media: MediaType) -> Response {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            // Only a scalar of ours that serialises to something that is not JSON could bring us here.
            tracing::error!(error = %error, "an answer could not be written");
            let bytes = br#"{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, bytes.to_vec())
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media.content_type());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}
