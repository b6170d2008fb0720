//! What is served where on the public address.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Extension, Request},
    middleware,
    response::Response,
    routing::{any, get},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{
    around::{self, Meta, REQUEST_ID, Surroundings},
    client::TrustedProxies,
    download::{self, Downloads},
    endpoint::{self, Endpoint, GraphqlService, Limits},
    graphiql, reply,
    socket::{self, Door, Sockets},
};
use crate::{clock::Clock, graphql::ErrorCode};

/// What the public address serves and to whom.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The bounds of a GraphQL request.
    pub limits: Limits,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// The other origins whose pages may call the API with a person's cookies; our own needs no mention.
    pub cors_origins: Vec<Origin>,
    /// Whether `/graphiql` is there.
    pub graphiql: bool,
    /// Exports; there is no `/exports` without.
    pub downloads: Option<Downloads>,
    /// Subscriptions; there is no `/graphql/ws` without.
    pub sockets: Option<Sockets>,
}

/// An origin in the form a browser sends it: `https://app.example.com`, with a port where it is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// Why a text is not an [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin; write it as a browser does, for example https://app.example.com")]
pub struct InvalidOrigin(String);

impl Origin {
    /// Whether the value of an `Origin` header names it.
    pub(super) fn is(&self, value: &HeaderValue) -> bool {
        self.0 == value
    }
}

impl std::str::FromStr for Origin {
    type Err = InvalidOrigin;

    /// Takes exactly what a browser would send. Neither `*` nor `null` is one: both would let in everybody.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let origin = url::Url::parse(text).map_err(|_| invalid())?.origin();
        let same = origin.is_tuple() && origin.ascii_serialization() == text;
        let web = text.starts_with("https://") || text.starts_with("http://");
        if same && web { HeaderValue::from_str(text).map(Self).map_err(|_| invalid()) } else { Err(invalid()) }
    }
}

/// The public router: `/graphql`, `/t/{slug}/graphql`, their sockets below `/ws` and, if it is on, GraphiQL.
pub fn router(service: Arc<dyn GraphqlService>, clock: Clock, settings: &Settings) -> Router {
    let endpoint = Arc::new(Endpoint::new(service, settings.limits.clone()));
    let mut router = Router::new()
        .route("/graphql", any(endpoint::plain))
        .route("/t/{slug}/graphql", any(endpoint::in_tenant))
        .with_state(endpoint);
    if let Some(downloads) = &settings.downloads {
        let exports = Router::new().route("/exports/{token}", get(download::fetch));
        router = router.merge(exports.with_state(downloads.clone()));
    }
    if let Some(sockets) = &settings.sockets {
        let door = Door { sockets: sockets.clone(), origins: settings.cors_origins.clone() };
        let routes = Router::new()
            .route("/graphql/ws", any(socket::plain))
            .route("/t/{slug}/graphql/ws", any(socket::in_tenant));
        router = router.merge(routes.with_state(Arc::new(door)));
    }
    if settings.graphiql {
        router = router
            .route("/graphiql", get(graphiql::page))
            .route("/graphiql/", get(graphiql::page))
            .route("/t/{slug}/graphiql", get(graphiql::page))
            .route("/graphiql/{*file}", get(graphiql::file));
    }
    let mut router = router.fallback(nothing_here).method_not_allowed_fallback(wrong_method);
    if !settings.cors_origins.is_empty() {
        router = router.layer(cors(&settings.cors_origins));
    }
    let surroundings = Arc::new(Surroundings { proxies: settings.trusted_proxies.clone(), clock });
    router.layer(middleware::from_fn_with_state(surroundings, around::around))
}

fn cors(origins: &[Origin]) -> CorsLayer {
    const ASKED: [HeaderName; 7] = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("x-tenant"),
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("apollo-require-preflight"),
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("tracestate"),
    ];
    const SHOWN: [HeaderName; 6] = [
        REQUEST_ID,
        header::RETRY_AFTER,
        HeaderName::from_static("x-tenant"),
        HeaderName::from_static("ratelimit"),
        HeaderName::from_static("ratelimit-policy"),
        HeaderName::from_static("idempotency-replayed"),
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().map(|origin| origin.0.clone())))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(ASKED)
        .expose_headers(SHOWN)
        .max_age(std::time::Duration::from_secs(60 * 60))
}

async fn nothing_here(Extension(meta): Extension<Meta>, _: Request) -> Response {
    let message = "Nothing is served here; the API is at /graphql.";
    reply::plain_error(ErrorCode::BadRequest, StatusCode::NOT_FOUND, message, meta.request_id)
}

async fn wrong_method(Extension(meta): Extension<Meta>, _: Request) -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    reply::plain_error(ErrorCode::BadRequest, status, "Use GET here.", meta.request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_only_as_a_browser_sends_it() {
        for right in ["https://app.example.com", "http://localhost:5173", "https://xn--bcher-kva.example"] {
            assert!(right.parse::<Origin>().is_ok(), "{right}");
        }
        for wrong in [
            "*",
            "null",
            "",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com:443",
            "https://APP.example.com",
            "ftp://example.com",
            "https://*.example.com/x",
            "file:///x",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
