//! Subscriptions over WebSockets, by the protocol graphql-transport-ws.
//!
//! What must always hold:
//! - who asks and in which tenant is said once, in the payload of `connection_init`, and holds for the socket's life;
//! - whatever ends the right to listen closes the socket with a code that says why ([`close`]);
//! - a client that does not read costs a bounded queue and a bounded time;
//! - nothing here knows tenants, rights or SQL: they are behind [`SocketService`].
//!
//! The protocol is driven here and not by async-graphql's `http::WebSocket`: that one (7.0.19) closes every refused
//! `connection_init` with 1002, waits for it for ever, replaces a running subscription by another one of the same id,
//! tells errors as results, and cannot close a socket whose client does not read.
//!
//! Start reading at [`Sockets`], then `drive`.

pub mod close;
mod drive;
mod protocol;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::{
    extract::{
        Path, Request, State, WebSocketUpgrade, rejection::PathRejection, ws::rejection::WebSocketUpgradeRejection,
    },
    response::Response,
};
use futures::{future::BoxFuture, stream::BoxStream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::{Notify, watch};
use tracing::Instrument;

use super::{
    around::Meta,
    body::GraphqlBody,
    endpoint::{self, Refusal, Transport},
    reply,
    router::Origin,
};
use crate::graphql::ErrorCode;
pub use close::{Close, Closer};

/// The subprotocol, as clients name it.
pub const PROTOCOL: &str = "graphql-transport-ws";

/// What sockets are handed to: authentication, tenant, policy and execution are behind it.
pub trait SocketService: Send + Sync + 'static {
    /// Admits a socket, or says how it is closed. The transport holds the credential and the tenant of `connection_init`.
    fn open(&self, transport: Transport, closer: Closer) -> BoxFuture<'_, Result<Arc<dyn SocketSession>, Close>>;
}

/// The responses of a subscription.
pub type Responses = BoxStream<'static, GraphqlResponse>;

/// An admitted socket. It ends when this is dropped.
pub trait SocketSession: Send + Sync + 'static {
    /// Begins a subscription; the errors say why it does not.
    fn subscribe(&self, body: GraphqlBody) -> BoxFuture<'_, Result<Responses, Vec<ServerError>>>;
}

/// The bounds of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of one message from the client.
    pub max_message_bytes: usize,
    /// Subscriptions at a time.
    pub subscriptions: usize,
    /// Messages that wait for a client who does not read.
    pub queue: usize,
    /// How long a client may take to read one of them when the queue is full and the line as well.
    pub patience: Duration,
    /// How long a client may take to say `connection_init`.
    pub init: Duration,
    /// How often a client is asked for a sign of life.
    pub ping: Duration,
}

impl Default for Limits {
    /// 20 subscriptions, as the conventions (section 12) have it.
    fn default() -> Self {
        Self {
            max_message_bytes: 256 * 1024,
            subscriptions: 20,
            queue: 256,
            patience: Duration::from_secs(10),
            init: Duration::from_secs(5),
            ping: Duration::from_secs(15),
        }
    }
}

/// Every socket of this server, and what they are given to.
#[derive(Clone)]
pub struct Sockets {
    service: Arc<dyn SocketService>,
    limits: Limits,
    stop: Arc<watch::Sender<bool>>,
    open: Arc<Open>,
}

#[derive(Default)]
struct Open {
    count: AtomicUsize,
    changed: Notify,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sockets({:?})", self.limits)
    }
}

impl Sockets {
    /// None yet.
    pub fn new(service: Arc<dyn SocketService>, limits: Limits) -> Self {
        Self { service, limits, stop: Arc::new(watch::Sender::new(false)), open: Arc::default() }
    }

    /// Closes every socket, those to come included, because the server is going away.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until every socket is closed, but not longer than `grace`.
    pub async fn ended(&self, grace: Duration) {
        let ended = async {
            loop {
                let changed = self.open.changed.notified();
                if self.open.count.load(Ordering::SeqCst) == 0 {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(grace, ended).await;
    }

    fn count(&self) -> Counted {
        self.open.count.fetch_add(1, Ordering::SeqCst);
        metrics::gauge!("tenantry_sockets_open").increment(1.0);
        Counted(Arc::clone(&self.open))
    }
}

struct Counted(Arc<Open>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        metrics::gauge!("tenantry_sockets_open").decrement(1.0);
        self.0.changed.notify_waiters();
    }
}

/// What an upgrade needs.
pub(super) struct Door {
    pub(super) sockets: Sockets,
    /// The other origins whose pages may connect; empty means any, since no cookie is a credential here.
    pub(super) origins: Vec<Origin>,
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `/graphql/ws`.
pub(super) async fn plain(State(door): State<Arc<Door>>, upgrade: Upgrade, request: Request) -> Response {
    door.enter(upgrade, request, None)
}

/// `/t/{slug}/graphql/ws`.
pub(super) async fn in_tenant(
    State(door): State<Arc<Door>>,
    slug: Result<Path<String>, PathRejection>,
    upgrade: Upgrade,
    request: Request,
) -> Response {
    let slug = slug.map(|Path(slug)| slug).unwrap_or_default();
    door.enter(upgrade, request, Some(slug))
}

impl Door {
    fn enter(&self, upgrade: Upgrade, request: Request, path_tenant: Option<String>) -> Response {
        let (parts, _) = request.into_parts();
        let Some(meta) = parts.extensions.get::<Meta>().copied() else {
            return Response::builder()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .body(axum::body::Body::empty())
                .unwrap_or_default();
        };
        let refused = |refusal: Refusal| reply::refused(refusal, None, meta.request_id);
        let upgrade = match upgrade {
            Ok(upgrade) => upgrade,
            Err(_) => {
                let message = "Open a WebSocket here, with the subprotocol graphql-transport-ws.";
                let refusal = Refusal::new(ErrorCode::BadRequest, message).with_status(StatusCode::UPGRADE_REQUIRED);
                return refused(refusal.with_header(header::UPGRADE, HeaderValue::from_static("websocket")));
            }
        };
        if !self.admits_origin(&parts.headers) {
            let message = "Pages of this origin may not connect. Name it in TENANTRY_CORS_ORIGINS to let them.";
            return refused(Refusal::new(ErrorCode::CsrfRejected, message));
        }
        let mut transport = match endpoint::transport(&meta, &parts, false, path_tenant, meta.started) {
            Ok(transport) => transport,
            Err(refusal) => return refused(refusal),
        };
        // A credential of the upgrade counts for nothing: browsers cannot set it, and two would have to agree.
        transport.authorization = None;
        transport.cookie = None;
        let sockets = self.sockets.clone();
        // A little too much is read to its end, so that the close frame can say why.
        let max = sockets.limits.max_message_bytes.saturating_mul(4);
        let span = tracing::error_span!(
            "socket",
            request.id = %meta.request_id,
            tenant.id = tracing::field::Empty,
            actor.id = tracing::field::Empty,
        );
        upgrade
            .protocols([PROTOCOL])
            .max_message_size(max)
            .max_frame_size(max)
            .on_upgrade(move |socket| drive::drive(socket, transport, sockets).instrument(span))
    }

    /// Browsers say whose page connects. Where a list is configured, it must be on it, or be our own.
    fn admits_origin(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN).filter(|_| !self.origins.is_empty()) else { return true };
        let own = || {
            let origin = url::Url::parse(origin.to_str().ok()?).ok()?;
            let host = headers.get(header::HOST)?.to_str().ok()?;
            let named = match origin.port() {
                Some(port) => format!("{}:{port}", origin.host_str()?),
                None => origin.host_str()?.to_owned(),
            };
            Some(host.eq_ignore_ascii_case(&named))
        };
        self.origins.iter().any(|known| known.is(origin)) || own().unwrap_or_default()
    }
}
