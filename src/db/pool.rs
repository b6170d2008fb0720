//! Pools of connections, private to `db`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{ConnectionError, connection::CacheSize};
use diesel_async::{
    AsyncConnection, AsyncPgConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Hook, Object, Pool, PoolError},
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::SslMode;

use super::{DbError, Stats, core::Preparations};
use crate::telemetry::metrics;

/// How the pool is built.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Connections at most.
    pub size: usize,
    /// How long a request waits for a connection before it is refused.
    pub wait: Duration,
    /// Into how many shares the connections are divided, one for each thread that serves requests; 0: they are not.
    pub shares: usize,
    /// After how many times of being lent out a connection forgets its prepared statements. Filters make statements of many
    /// forms, and each that was prepared takes memory here and in PostgreSQL.
    pub statements_last: usize,
}

impl PoolOptions {
    /// Long enough that preparing costs nothing that could be measured.
    pub const STATEMENTS_LAST: usize = 100_000;
}

/// The transport of one pool: needed again to send a cancel request.
#[derive(Clone)]
pub(super) enum Tls {
    Off,
    Rustls(tokio_postgres_rustls::MakeRustlsConnect),
}

impl Tls {
    pub(super) async fn cancel(self, token: tokio_postgres::CancelToken) {
        let outcome = match self {
            Self::Off => token.cancel_query(tokio_postgres::NoTls).await,
            Self::Rustls(tls) => token.cancel_query(tls).await,
        };
        if let Err(error) = outcome {
            // The statement ends by its own timeout then.
            tracing::debug!(error = %error, "a cancel request could not be sent");
        }
    }
}

#[derive(Clone)]
pub(super) struct ConnectionPool {
    /// Under which name it stands in the metrics.
    name: &'static str,
    pool: Pool<AsyncPgConnection>,
    pub(super) tls: Tls,
}

/// The URL cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the database URL cannot be used: {0}")]
pub struct BadUrl(String);

impl ConnectionPool {
    /// Makes the pool without connecting.
    pub(super) fn new(name: &'static str, url: &SecretString, options: &PoolOptions) -> Result<Self, BadUrl> {
        let (config, tls) = parse(url.expose_secret())?;
        let mut manager = ManagerConfig::default();
        manager.recycling_method = RecyclingMethod::Fast;
        let (config, transport) = (Arc::new(config), tls.clone());
        let statements_last = options.statements_last.max(1);
        manager.custom_setup = Box::new(move |_| {
            let (config, tls) = (Arc::clone(&config), transport.clone());
            Box::pin(async move {
                let failed = |error: tokio_postgres::Error| ConnectionError::BadConnection(reason(&error));
                let mut connection = match tls {
                    Tls::Off => {
                        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(failed)?;
                        AsyncPgConnection::try_from_client_and_connection(client, connection).await?
                    }
                    Tls::Rustls(tls) => {
                        let (client, connection) = config.connect(tls).await.map_err(failed)?;
                        AsyncPgConnection::try_from_client_and_connection(client, connection).await?
                    }
                };
                connection.set_instrumentation(Preparations);
                Ok(connection)
            })
        });
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config(String::new(), manager))
            .max_size(options.size)
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(Duration::from_secs(5)))
            .runtime(deadpool::Runtime::Tokio1)
            .pre_recycle(Hook::sync_fn(move |connection: &mut AsyncPgConnection, lent| {
                if lent.recycle_count % statements_last == statements_last - 1 {
                    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
                    connection.set_prepared_statement_cache_size(CacheSize::Unbounded);
                }
                Ok(())
            }))
            .build()
            .map_err(|error| BadUrl(error.to_string()))?;
        Ok(Self { name, pool, tls })
    }

    /// A connection, as soon as one is free; the time until then is counted for the pool and for the request.
    pub(super) async fn get(&self, stats: &Stats) -> Result<Object<AsyncPgConnection>, DbError> {
        let asked = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "the one place that takes a connection out of a pool")]
        let got = self.pool.get().await;
        let waited = asked.elapsed();
        metrics::pool_wait(self.name, waited);
        stats.queued_for(waited);
        got.map_err(|error| match error {
            PoolError::Timeout(deadpool::managed::TimeoutType::Wait) => {
                metrics::pool_exhausted(self.name);
                DbError::PoolExhausted
            }
            other => DbError::Unavailable(Box::new(other)),
        })
    }

    pub(super) fn status(&self) -> deadpool::Status {
        self.pool.status()
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// What a URL says about the server and the transport to it.
pub(super) fn parse(url: &str) -> Result<(tokio_postgres::Config, Tls), BadUrl> {
    // tokio-postgres knows `require` only; ours always verifies the certificate and the name.
    let text = url.replace("sslmode=verify-full", "sslmode=require");
    let config: tokio_postgres::Config = text.parse().map_err(|error: tokio_postgres::Error| BadUrl(reason(&error)))?;
    let tls = match config.get_ssl_mode() {
        SslMode::Require => Tls::Rustls(rustls_connector()?),
        _ => Tls::Off,
    };
    Ok((config, tls))
}

/// The chain of causes on one line: the outermost text of tokio-postgres alone says only "db error".
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn rustls_connector() -> Result<tokio_postgres_rustls::MakeRustlsConnect, BadUrl> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // A certificate of the system store that rustls cannot read is no reason to refuse the others.
        let _ = roots.add(certificate);
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BadUrl(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_postgres_rustls::MakeRustlsConnect::new(config))
}
