//! The way of one GraphQL request through HTTP.
//!
//! Media type, method, cross-site guard, body, then the [`GraphqlService`] within the deadline, then the answer. The
//! first rule that a request breaks answers it. `query`, the document, is not looked into here.

use std::{borrow::Cow, net::IpAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_graphql::Response as GraphqlResponse;
use axum::{
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{
    accept::{self, MediaType, WrongContentType},
    around::Meta,
    body::BodyError,
    reply,
};
pub use super::{
    body::GraphqlBody,
    reply::{Cost, CostBucket, Refusal},
};
use crate::{
    graphql::{ApiError, ErrorCode, error::code_of},
    ids::RequestId,
    telemetry::{OperationNames, RequestRecord, SqlFigures, TraceParent},
};

/// What the endpoint hands requests to: authentication, tenant, policy and execution are behind it.
pub trait GraphqlService: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// The future is dropped when the deadline passes or the client goes away; whatever it holds must be released by
    /// that. A panic in it ends this request only.
    fn execute(&self, request: IncomingRequest) -> BoxFuture<'_, OutgoingResponse>;
}

/// A GraphQL request that HTTP has nothing against.
#[derive(Debug)]
pub struct IncomingRequest {
    /// Where it came from and what its headers say.
    pub transport: Transport,
    /// What it asks for.
    pub body: GraphqlBody,
}

/// What HTTP knows about a request. Texts are as the client sent them: nothing here is believed yet.
#[derive(Clone, Debug)]
pub struct Transport {
    /// GET was used, so only a query may run; answer a mutation with [`Refusal::mutation_over_get`].
    pub method_is_get: bool,
    /// `Host`, with its port if it has one.
    pub host: Option<String>,
    /// The slug of `/t/{slug}/graphql`.
    pub path_tenant: Option<String>,
    /// `?tenant=`.
    pub query_tenant: Option<String>,
    /// `X-Tenant`.
    pub header_tenant: Option<String>,
    /// `tenant` in the payload of `connection_init`, on a socket.
    pub init_tenant: Option<String>,
    /// `Authorization`, scheme included; on a socket, from the payload of `connection_init`.
    pub authorization: Option<String>,
    /// All of `Cookie`.
    pub cookie: Option<String>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The client's address, behind the proxies that are trusted.
    pub client_addr: IpAddr,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Origin`, present when a browser sent the request across origins or by POST.
    pub origin: Option<String>,
    /// Stands in the answer, the logs and the audit entries of this request.
    pub request_id: RequestId,
    /// The trace that this request belongs to, if it began elsewhere.
    pub traceparent: Option<TraceParent>,
    /// When the answer must be there; the endpoint enforces it.
    pub deadline: Instant,
}

/// What became of a request.
#[derive(Debug)]
pub struct OutgoingResponse {
    /// The answer.
    pub outcome: Outcome,
    /// Headers of the answer, for example `X-Tenant` or `RateLimit`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The name of the operation as it stands in the document, for metrics.
    pub operation: Option<String>,
    /// `extensions.cost`, of an operation that ran.
    pub cost: Option<Cost>,
    /// What it cost the database, for metrics.
    pub sql: Option<SqlFigures>,
}

impl OutgoingResponse {
    /// An answer without further headers.
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, headers: Vec::new(), operation: None, cost: None, sql: None }
    }
}

/// Whether the operation began.
#[derive(Debug)]
pub enum Outcome {
    /// It ran; fields may have failed.
    Executed(GraphqlResponse),
    /// Nothing ran.
    Refused(Refusal),
}

impl From<GraphqlResponse> for OutgoingResponse {
    fn from(response: GraphqlResponse) -> Self {
        Self::new(Outcome::Executed(response))
    }
}

impl From<Refusal> for OutgoingResponse {
    fn from(refusal: Refusal) -> Self {
        Self::new(Outcome::Refused(refusal))
    }
}

/// The bounds of a request.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of a POST body.
    pub max_body_bytes: usize,
    /// From the first byte of the head to the answer.
    pub deadline: Duration,
}

impl Default for Limits {
    /// 256 KiB and 10 s, as the conventions (section 4.3) have it.
    fn default() -> Self {
        Self { max_body_bytes: 256 * 1024, deadline: Duration::from_secs(10) }
    }
}

/// The endpoint with what it needs.
pub struct Endpoint {
    service: Arc<dyn GraphqlService>,
    limits: Limits,
    names: OperationNames,
}

impl Endpoint {
    /// An endpoint in front of this service.
    pub fn new(service: Arc<dyn GraphqlService>, limits: Limits) -> Self {
        Self { service, limits, names: OperationNames::default() }
    }
}

/// `/graphql`.
pub(super) async fn plain(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    endpoint.serve(request, None).await
}

/// `/t/{slug}/graphql`.
pub(super) async fn in_tenant(
    State(endpoint): State<Arc<Endpoint>>,
    slug: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // A slug that is not UTF-8 is nobody's; the empty text cannot be one either and is refused as unknown.
    let slug = slug.map(|Path(slug)| slug).unwrap_or_default();
    endpoint.serve(request, Some(slug)).await
}

impl Endpoint {
    async fn serve(&self, request: Request, path_tenant: Option<String>) -> Response {
        let (parts, body) = request.into_parts();
        let Some(meta) = parts.extensions.get::<Meta>().copied() else {
            // The router puts it there; without it there would be no request id to answer with.
            return Response::builder()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .body(Body::empty())
                .unwrap_or_default();
        };
        let mut record = RequestRecord::start(&self.names, meta.started.into_std());
        let media = accept::negotiate(&parts.headers);

        let answer = self.answer(&meta, media, parts, body, path_tenant).await;
        let mut response = match answer.outcome {
            Outcome::Executed(executed) => {
                let outcome = if executed.errors.is_empty() { "ok" } else { "errors" };
                let code = reply::began(&executed).then_some(outcome);
                let code = code.or_else(|| executed.errors.first().and_then(code_of).map(ErrorCode::as_str));
                record.executed(answer.operation.as_deref(), code.unwrap_or("GRAPHQL_VALIDATION_FAILED"));
                reply::executed(executed, answer.cost.as_ref(), media.unwrap_or(MediaType::Json), meta.request_id)
            }
            Outcome::Refused(refusal) => {
                record.refused(answer.operation.as_deref(), refusal.code.as_str());
                reply::refused(refusal, media, meta.request_id)
            }
        };
        for (name, value) in answer.headers {
            response.headers_mut().append(name, value);
        }
        record.finish(answer.sql);
        response
    }

    async fn answer(
        &self,
        meta: &Meta,
        media: Option<MediaType>,
        parts: Parts,
        body: Body,
        path_tenant: Option<String>,
    ) -> OutgoingResponse {
        let deadline = meta.started + self.limits.deadline;
        let incoming = match self.read(meta, media, parts, body, path_tenant, deadline).await {
            Ok(incoming) => incoming,
            Err(refusal) => return refusal.into(),
        };
        let operation = incoming.body.operation_name.clone();
        let executed = AssertUnwindSafe(async { self.service.execute(incoming).await }).catch_unwind();
        let refusal = match tokio::time::timeout_at(deadline, executed).await {
            Ok(Ok(outgoing)) => return OutgoingResponse { operation: outgoing.operation.or(operation), ..outgoing },
            // The panic hook has logged it, with this request's span.
            Ok(Err(_)) => ApiError::internal().into(),
            Err(_) => {
                let seconds = self.limits.deadline.as_secs_f32();
                let message = format!("The operation was stopped after {seconds} s. Ask for less at a time.");
                Refusal::new(ErrorCode::Timeout, message)
            }
        };
        OutgoingResponse { operation, ..refusal.into() }
    }

    /// Everything that HTTP can hold against a request.
    async fn read(
        &self,
        meta: &Meta,
        media: Option<MediaType>,
        parts: Parts,
        body: Body,
        path_tenant: Option<String>,
        deadline: Instant,
    ) -> Result<IncomingRequest, Refusal> {
        if media.is_none() {
            return Err(bad_request("Answers are application/graphql-response+json or application/json.")
                .with_status(StatusCode::NOT_ACCEPTABLE));
        }
        let method_is_get = match parts.method {
            Method::GET | Method::HEAD => true,
            Method::POST => false,
            _ => {
                return Err(bad_request("Use POST, or GET for a query.")
                    .with_status(StatusCode::METHOD_NOT_ALLOWED)
                    .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST")));
            }
        };
        let transport = transport(meta, &parts, method_is_get, path_tenant, deadline)?;
        let body = if method_is_get {
            if parts.headers.get("apollo-require-preflight").is_none_or(HeaderValue::is_empty) {
                return Err(Refusal::new(
                    ErrorCode::CsrfRejected,
                    "A GET needs the header Apollo-Require-Preflight with any value, \
                     so that no other site can make a browser send it.",
                ));
            }
            GraphqlBody::from_query(parts.uri.query().unwrap_or_default()).map_err(ill_formed)?
        } else {
            check_post(&parts.headers)?;
            let bytes = tokio::time::timeout_at(deadline, self.body(&parts.headers, body)).await.map_err(|_| {
                Refusal::new(ErrorCode::Timeout, "The body did not arrive in time.")
                    .with_status(StatusCode::REQUEST_TIMEOUT)
                    .with_header(header::CONNECTION, HeaderValue::from_static("close"))
            })??;
            GraphqlBody::from_json(&bytes).map_err(ill_formed)?
        };
        Ok(IncomingRequest { transport, body })
    }

    /// The body, as far as it is allowed to be long.
    async fn body(&self, headers: &HeaderMap, mut body: Body) -> Result<Vec<u8>, Refusal> {
        let max = self.limits.max_body_bytes;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > max.saturating_mul(DRAINED)) {
            return Err(too_large(max));
        }
        let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(max));
        let mut length = 0usize;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| bad_request("The body broke off."))?;
            let Ok(data) = frame.into_data() else { continue };
            length = length.saturating_add(data.len());
            // A little too much is read to its end: a client that is cut off in mid-sentence never reads the answer.
            if length > max.saturating_mul(DRAINED) {
                break;
            }
            if length <= max {
                bytes.extend_from_slice(&data);
            }
        }
        if length > max { Err(too_large(max)) } else { Ok(bytes) }
    }
}

/// Up to how many times the allowed size a body is read and thrown away.
const DRAINED: usize = 4;

fn bad_request(message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, message)
}

/// The refusal of another method where only GET is served.
pub(super) fn only_get() -> Refusal {
    bad_request("Use GET here.")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .with_header(header::ALLOW, HeaderValue::from_static("GET"))
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(ErrorCode::PayloadTooLarge, format!("A body may have at most {max} bytes."))
}

fn ill_formed(error: BodyError) -> Refusal {
    let code = if error == BodyError::Batch { ErrorCode::BatchNotAllowed } else { ErrorCode::BadRequest };
    Refusal::new(code, error.to_string())
}

/// A POST must carry JSON. That is the cross-site guard, too: no page can send this content type to another origin
/// without asking the server first (Fetch standard, "CORS-safelisted request-header").
fn check_post(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported =
        |code, message: &'static str| Err(Refusal::new(code, message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    match accept::check_content_type(headers) {
        Ok(()) => {}
        Err(WrongContentType::Simple) => {
            return unsupported(
                ErrorCode::CsrfRejected,
                "A POST needs Content-Type: application/json, so that no other site can make a browser send it.",
            );
        }
        Err(WrongContentType::Unsupported) => {
            return unsupported(ErrorCode::BadRequest, "A POST needs Content-Type: application/json.");
        }
        Err(WrongContentType::Charset) => {
            return unsupported(ErrorCode::BadRequest, "A body must be encoded in UTF-8.");
        }
    }
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(()),
        Some(_) => unsupported(ErrorCode::BadRequest, "A compressed body is not supported."),
    }
}

pub(super) fn transport(
    meta: &Meta,
    parts: &Parts,
    method_is_get: bool,
    path_tenant: Option<String>,
    deadline: Instant,
) -> Result<Transport, Refusal> {
    let headers = &parts.headers;
    let host = single(headers, "host")?.or_else(|| parts.uri.authority().map(ToString::to_string));
    let cookies: Vec<&str> = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    Ok(Transport {
        method_is_get,
        host,
        path_tenant,
        query_tenant: query_tenant(parts.uri.query())?,
        header_tenant: single(headers, "x-tenant")?,
        init_tenant: None,
        authorization: single(headers, "authorization")?,
        cookie: (!cookies.is_empty()).then(|| cookies.join("; ")),
        idempotency_key: single(headers, "idempotency-key")?,
        client_addr: meta.client,
        user_agent: lenient(headers, &header::USER_AGENT),
        origin: lenient(headers, &header::ORIGIN),
        request_id: meta.request_id,
        traceparent: meta.traceparent,
        deadline,
    })
}

/// A header that decides something must be there once and be readable; otherwise two readers could see two values,
/// and an unreadable credential would pass for none.
fn single(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(bad_request(format!("The header {name} may hold visible ASCII characters only."))),
        },
        (Some(_), Some(_)) => Err(bad_request(format!("The header {name} is given twice."))),
    }
}

fn lenient(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn query_tenant(query: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(query) = query else { return Ok(None) };
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "tenant");
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(bad_request("The parameter tenant is given twice.")),
        (first, None) => Ok(first.map(|(_, value)| value.into_owned())),
    }
}
