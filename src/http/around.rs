//! What surrounds every request: its id, its span, the client's address, the guard against panics, and the headers
//! that every answer carries.

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    client::{Peer, TrustedProxies},
    reply,
};
use crate::{
    clock::Clock,
    graphql::ErrorCode,
    ids::RequestId,
    telemetry::{self, TraceParent},
};

/// What is known about a request before anything looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// The trace id of the caller, or a new one.
    pub request_id: RequestId,
    /// The client's address, behind the proxies that are trusted.
    pub client: IpAddr,
    /// The caller's trace.
    pub traceparent: Option<TraceParent>,
    /// When the head had arrived.
    pub started: Instant,
}

/// What a request needs around it.
#[derive(Debug)]
pub struct Surroundings {
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
    /// Gives new request ids their time.
    pub clock: Clock,
}

pub(super) async fn around(State(around): State<Arc<Surroundings>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    let traceparent = TraceParent::from_headers(request.headers());
    let request_id = traceparent.and_then(|trace| RequestId::from_trace(trace.trace_id));
    let meta = Meta {
        request_id: request_id.unwrap_or_else(|| RequestId::new(around.clock.now())),
        client: around.proxies.client(peer, request.headers()),
        traceparent,
        started: Instant::now(),
    };
    request.extensions_mut().insert(meta);

    let span = telemetry::request_span(meta.request_id, request.method(), request.uri().path(), meta.traceparent);
    let served = async {
        let response = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            reply::plain_error(
                ErrorCode::Internal,
                status,
                "Something failed on our side. The request id finds it in the logs.",
                meta.request_id,
            )
        });
        telemetry::log_response(response.status(), meta.started.elapsed());
        response
    };
    let mut response = served.instrument(span).await;

    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&meta.request_id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in &ALWAYS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    response
}

/// The header that carries the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An API answer is no page: it may not be framed, sniffed, or load anything. GraphiQL brings its own policy.
const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];
