//! Files that somebody asked for through the API and fetches by a path of their own: `/exports/{token}`.
//!
//! Same credential and tenant as a GraphQL request. An unknown, used, expired or foreign token is one and the same answer.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use futures::{future::BoxFuture, stream::BoxStream};
use http::{HeaderValue, StatusCode, header};

use super::{
    around::Meta,
    endpoint::{self, Transport},
    reply::{self, Refusal},
};
use crate::graphql::ErrorCode;

/// A file on its way: its media type, its name, its pieces.
pub struct Download {
    /// For example `text/csv; charset=utf-8`.
    pub media_type: HeaderValue,
    /// `Content-Disposition`, with the name to save it under.
    pub disposition: HeaderValue,
    /// The pieces; an error cuts the connection, so that nobody takes a part for the whole.
    pub pieces: BoxStream<'static, Result<Bytes, std::io::Error>>,
}

/// What finds files by their tokens.
pub trait DownloadService: Send + Sync + 'static {
    /// The file, `None` if there is nothing for this client.
    fn fetch(&self, transport: Transport, token: String) -> BoxFuture<'_, Result<Option<Download>, Refusal>>;
}

/// The service in the form of the router's settings.
#[derive(Clone)]
pub struct Downloads(pub Arc<dyn DownloadService>);

impl std::fmt::Debug for Downloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Downloads")
    }
}

/// `/exports/{token}`.
pub(super) async fn fetch(
    State(downloads): State<Downloads>,
    token: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let Some(meta) = parts.extensions.get::<Meta>().copied() else {
        // The router puts it there; without it there would be no request id to answer with.
        return Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Body::empty()).unwrap_or_default();
    };
    let token = token.map(|Path(token)| token).unwrap_or_default();
    if parts.method != http::Method::GET {
        // HEAD comes here as well, and must not use the token up.
        return reply::refused(endpoint::only_get(), None, meta.request_id);
    }
    let found =
        match endpoint::transport(&meta, &parts, true, None, meta.started + endpoint::Limits::default().deadline) {
            Ok(transport) => downloads.0.fetch(transport, token).await,
            Err(refusal) => Err(refusal),
        };
    match found {
        Ok(Some(download)) => {
            let mut response = Response::new(Body::from_stream(download.pieces));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, download.media_type);
            headers.insert(header::CONTENT_DISPOSITION, download.disposition);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }
        Ok(None) => {
            let message = "There is nothing to fetch here. Ask for the export again.";
            reply::plain_error(ErrorCode::BadRequest, StatusCode::NOT_FOUND, message, meta.request_id)
        }
        Err(refusal) => reply::refused(refusal, None, meta.request_id),
    }
}
