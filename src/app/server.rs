//! Listens: the API on one address, health and metrics on another, until told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use ipnetwork::IpNetwork;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use super::{App, notices::Notices, sockets::AppSockets};
use crate::{
    config::Settings,
    db::{DbError, ListenError, migrate},
    http::{
        admin::{self, Admin, Check, Readiness, Stopping},
        client::TrustedProxies,
        download::Downloads,
        endpoint::Limits,
        router::{self, InvalidOrigin, Origin},
        server::{self, Times},
        socket::{self, Sockets},
        workers::Workers,
    },
    telemetry::{Metrics, metrics},
};

/// How often the partitions of the coming months are looked after.
const UPKEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}. {hint}", hint = listen_hint(.source))]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// An origin is none.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// The database cannot be asked.
    #[error("the database cannot be used")]
    Db(#[from] DbError),
    /// The threads that serve requests cannot be started.
    #[error("the system gives no threads to serve requests on")]
    Threads(#[source] std::io::Error),
    /// What other processes announce cannot be heard.
    #[error(transparent)]
    Notices(#[from] ListenError),
}

fn listen_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "Something else listens there: stop it, or choose another port with --listen and --admin-listen"
        }
        std::io::ErrorKind::PermissionDenied => "Ports below 1024 need rights of their own: choose a higher one",
        _ => "Choose another address with --listen and --admin-listen",
    }
}

/// The addresses, bound: nobody else can take them while the rest starts.
pub struct Listeners {
    api: TcpListener,
    admin: TcpListener,
    /// Where the API listens.
    pub api_address: SocketAddr,
    /// Where health and metrics listen.
    pub admin_address: SocketAddr,
}

impl Listeners {
    /// Binds both addresses.
    ///
    /// # Errors
    /// [`ServeError::Listen`] with what to do.
    pub fn bind(api: SocketAddr, admin: SocketAddr) -> Result<Self, ServeError> {
        let bind =
            |address| std::net::TcpListener::bind(address).map_err(|source| ServeError::Listen { address, source });
        Self::of(bind(api)?, bind(admin)?)
    }

    /// Takes listeners that are bound already. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError::Listen`] if the system refuses to use them.
    pub fn of(api: std::net::TcpListener, admin: std::net::TcpListener) -> Result<Self, ServeError> {
        let take = |listener: std::net::TcpListener| {
            let address = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
            let failed = |source| ServeError::Listen { address, source };
            listener.set_nonblocking(true).map_err(failed)?;
            Ok::<_, ServeError>((address, TcpListener::from_std(listener).map_err(failed)?))
        };
        let (api_address, api) = take(api)?;
        let (admin_address, admin) = take(admin)?;
        Ok(Self { api, admin, api_address, admin_address })
    }
}

struct Ready {
    app: Arc<App>,
    notices: Arc<Notices>,
    database_url: SecretString,
}

impl Readiness for Ready {
    fn check(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            let database = match self.app.services.db.check_login().await {
                Ok(Ok(())) => Check::ok("database"),
                Ok(Err(error)) => Check::failed("database", error.to_string()),
                Err(error) => Check::failed("database", error.to_string()),
            };
            if !database.ok {
                return vec![database];
            }
            let migrations = match migrate::pending(self.database_url.expose_secret()).await {
                Ok(pending) if pending.is_empty() => Check::ok("migrations"),
                Ok(pending) => Check::failed("migrations", format!("these have not run: {}", pending.join(", "))),
                Err(error) => Check::failed("migrations", error.to_string()),
            };
            // Without notices everything works, if later: no reason to take the server out of service.
            let notices = match self.notices.are_heard() {
                true => Check::ok("notices"),
                false => {
                    Check::ok("notices").noting("the connection for notices is down: changes elsewhere are seen late")
                }
            };
            let redis = self.app.kv.as_ref().map(|kv| match kv.is_up() {
                true => Check::ok("redis"),
                false => Check::ok("redis").noting("gone: this server goes on with limits and caches of its own"),
            });
            [database, migrations, notices].into_iter().chain(redis).collect()
        })
    }
}

impl App {
    /// Serves until `stop` resolves; then finishes what is under way, within the time of grace.
    ///
    /// # Errors
    /// [`ServeError`] if it cannot begin.
    pub async fn serve(
        self: Arc<Self>,
        settings: &Settings,
        database_url: &SecretString,
        recorder: Metrics,
        listeners: Listeners,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        self.services.db.ensure_partitions(migrate::MONTHS_AHEAD).await?;
        let url = settings.pool.listen_url.as_ref().unwrap_or(database_url);
        let notices = Arc::new(Notices::start(&self.services, url).await?);
        let origins: Vec<Origin> =
            settings.server.cors_origins.iter().map(|origin| origin.parse()).collect::<Result<_, _>>()?;
        let networks: Vec<IpNetwork> = settings.server.trusted_proxies.clone();
        let sockets = Sockets::new(
            Arc::new(AppSockets::new(Arc::clone(&self), settings.sockets.sockets_per_principal)),
            socket::Limits {
                max_message_bytes: settings.server.max_body_bytes,
                subscriptions: settings.sockets.socket_subscriptions,
                queue: settings.sockets.socket_queue,
                patience: Duration::from_millis(settings.sockets.socket_patience_ms),
                ping: Duration::from_millis(settings.sockets.socket_ping_ms),
                ..socket::Limits::default()
            },
        );
        let routes = router::router(
            Arc::clone(&self) as _,
            self.services.clock.clone(),
            &router::Settings {
                limits: Limits {
                    max_body_bytes: settings.server.max_body_bytes,
                    deadline: Duration::from_millis(settings.server.request_timeout_ms),
                },
                trusted_proxies: TrustedProxies::new(networks),
                cors_origins: origins,
                graphiql: settings.server.graphiql,
                downloads: Some(Downloads(Arc::clone(&self) as _)),
                sockets: Some(sockets.clone()),
            },
        )
        .merge(self.well_known());
        let stopping = Stopping::default();
        let pool = self.services.db.clone();
        let admin = admin::router(Admin {
            readiness: Arc::new(Ready {
                app: Arc::clone(&self),
                notices: Arc::clone(&notices),
                database_url: database_url.clone(),
            }),
            metrics: recorder,
            shares: Arc::clone(self.watch.shares()),
            gauges: Arc::new(move || {
                let status = pool.status();
                for (state, count) in
                    [("max", status.max), ("open", status.size), ("idle", status.idle), ("waiting", status.waiting)]
                {
                    metrics::pool_connections("app", state, count);
                }
            }),
            stopping: stopping.clone(),
        });
        let (admin_stop, admin_stopped) = tokio::sync::oneshot::channel::<()>();
        let admin = tokio::spawn(server::serve(listeners.admin, admin, Times::default(), None, async move {
            let _ = admin_stopped.await;
        }));
        let upkeep = tokio::spawn(upkeep(self.services.db.clone()));
        let times = Times { grace: Duration::from_millis(settings.server.shutdown_grace_ms), ..Times::default() };
        let stop = async {
            stop.await;
            // Balancers are told first, so that they send nothing more.
            stopping.begin();
            sockets.stop();
        };
        tracing::info!(api = %listeners.api_address, admin = %listeners.admin_address, "serving");
        let workers = Workers::start(settings.server.workers, crate::db::use_share).map_err(ServeError::Threads)?;
        let drained = server::serve(listeners.api, routes, times, Some(&workers), stop).await;
        if drained.cut > 0 {
            tracing::warn!(connections = drained.cut, "the time of grace is over; connections were cut off");
        }
        sockets.ended(times.grace).await;
        upkeep.abort();
        self.services.refusals.drained().await;
        let _ = admin_stop.send(());
        let _ = admin.await;
        self.services.db.close();
        Ok(())
    }

    /// The public keys that access tokens are verified with (RFC 7517).
    fn well_known(self: &Arc<Self>) -> axum::Router {
        let app = Arc::clone(self);
        let keys = move || {
            let app = Arc::clone(&app);
            async move { axum::Json(app.services.identity.public_jwks()) }
        };
        axum::Router::new().route("/.well-known/jwks.json", axum::routing::get(keys))
    }
}

/// Once a day: the partitions of the coming months.
async fn upkeep(db: crate::db::Db) {
    let mut days = tokio::time::interval(UPKEEP);
    days.tick().await;
    loop {
        days.tick().await;
        if let Err(error) = db.ensure_partitions(migrate::MONTHS_AHEAD).await {
            tracing::error!(error = %crate::domain::error::chain(&error), "the partitions of the coming months could not be made");
        }
    }
}
