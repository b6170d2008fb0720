//! The span of a request.

use std::time::Duration;

use http::{Method, StatusCode};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::TraceParent;
use crate::ids::RequestId;

/// The one span of a request. Whoever finds out more records it there: operation, tenant, who asks.
///
/// Its level is the highest, so that a filter that lets only errors through still shows which request they are of.
pub(crate) fn request_span(id: RequestId, method: &Method, path: &str, parent: Option<TraceParent>) -> Span {
    let span = tracing::error_span!(
        "request",
        otel.kind = "server",
        request.id = %id,
        http.request.method = %method,
        url.path = path,
        http.response.status_code = Empty,
        graphql.operation.name = Empty,
        graphql.outcome = Empty,
        tenant.id = Empty,
        actor.id = Empty,
    );
    if let Some(parent) = parent {
        let remote = SpanContext::new(
            TraceId::from_bytes(parent.trace_id),
            SpanId::from_bytes(parent.parent_id),
            if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
            true,
            TraceState::default(),
        );
        // Fails only where no traces are exported, or the span is filtered out.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
    }
    span
}

/// Ends a request in its span and in the log; what went wrong was logged where it was handled.
pub(crate) fn log_response(status: StatusCode, took: Duration) {
    let code = status.as_u16();
    Span::current().record("http.response.status_code", code);
    let duration_ms = took.as_secs_f64() * 1000.0;
    if status.is_server_error() {
        tracing::warn!(http.response.status_code = code, duration_ms, "answered");
    } else if status.is_client_error() {
        tracing::info!(http.response.status_code = code, duration_ms, "answered");
    } else {
        tracing::debug!(http.response.status_code = code, duration_ms, "answered");
    }
}
