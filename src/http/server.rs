//! Accepts connections, and lets what is under way finish when it is told to stop.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;

use super::{client::Peer, workers::Workers};

/// The times of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long a client may take to send the head of a request; also how long an idle connection is kept.
    pub head: Duration,
    /// How long requests under way may take to finish once the server is told to stop.
    pub grace: Duration,
}

impl Default for Times {
    /// A minute, which is longer than balancers keep idle connections, and the deadline of a request plus a little.
    fn default() -> Self {
        Self { head: Duration::from_secs(60), grace: Duration::from_secs(12) }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off when the time of grace was over.
    pub cut: usize,
}

/// Serves until `stop` resolves, then takes no new connection and waits for the requests under way.
///
/// A connection is closed after the answer that it is waiting for; one that is idle is closed at once. A client that
/// goes away drops its request, and with it everything that the request holds. Connections are served on the threads of
/// `workers`, or on this runtime if there are none.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    times: Times,
    workers: Option<&Workers>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(times.head).max_buf_size(64 * 1024);
    let (stopping, stops) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        // An answer is written in one go, so waiting for more to send only costs time.
        let _ = stream.set_nodelay(true);
        let connection = Connection { http: http.clone(), app: app.clone(), address, stops: stops.clone() };
        match workers.and_then(Workers::seat) {
            None => drop(connections.spawn(connection.carry(stream))),
            Some((runtime, seat)) => {
                // The thread that serves it is the one that is woken for it.
                let Ok(stream) = stream.into_std() else { continue };
                let carried = async move {
                    let _seat = seat;
                    match TcpStream::from_std(stream) {
                        Ok(stream) => connection.carry(stream).await,
                        Err(error) => tracing::error!(error = %error, "a connection could not be taken over"),
                    }
                };
                drop(connections.spawn_on(carried, &runtime));
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(times.grace, drained).await;
    let cut = connections.len();
    if cut > 0 {
        tracing::warn!(connections = cut, grace_ms = times.grace.as_millis(), "cut off requests that did not finish");
    }
    connections.shutdown().await;
    Drained { cut }
}

/// What serves one connection.
struct Connection {
    http: http1::Builder,
    app: Router,
    address: SocketAddr,
    stops: watch::Receiver<bool>,
}

impl Connection {
    async fn carry(mut self, stream: TcpStream) {
        let (app, address) = (self.app, self.address);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(address));
            app.clone().oneshot(request.map(Body::new))
        });
        let mut connection = std::pin::pin!(self.http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = self.stops.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = %error, client.address = %address, "a connection ended early");
        }
    }
}

/// A failed accept is either that connection's own or a lack of file descriptors, which needs a moment to pass.
async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::error!(error = %error, "cannot accept connections; trying again");
    tokio::time::sleep(Duration::from_millis(200)).await;
}
