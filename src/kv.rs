//! The Redis that several servers share, where one is configured: bounded in time, and allowed to be gone.
//!
//! What must always hold: nothing here fails a request. A call gives `None` when Redis does not answer in time, and the
//! caller goes on with what this process knows. The first failure opens a circuit: until Redis answers again, asked once
//! a second beside all requests, nobody waits for it. All requests share one connection, on which commands are pipelined;
//! a pool would ask every connection for a sign of life before lending it, one more round trip for each request.

use std::{
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisError, Script, aio::MultiplexedConnection};
use secrecy::{ExposeSecret, SecretString};

/// How often a Redis that is gone is asked for.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long a new connection may take: nobody waits for it.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// The URL cannot be used. The text does not repeat it, for it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("the Redis URL cannot be used: expected redis://[user:password@]host[:port][/database] or redis+unix:///path")]
pub struct BadRedisUrl;

/// A shared Redis. Cheap to clone.
#[derive(Clone)]
pub struct Kv(Arc<Inner>);

struct Inner {
    client: Client,
    timeout: Duration,
    connection: RwLock<Option<MultiplexedConnection>>,
    probing: AtomicBool,
}

impl std::fmt::Debug for Kv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kv(up: {})", self.is_up())
    }
}

impl Kv {
    /// Connects; where that fails, the server starts all the same and keeps trying.
    ///
    /// # Errors
    /// [`BadRedisUrl`].
    pub async fn start(url: &SecretString, timeout: Duration) -> Result<Self, BadRedisUrl> {
        let client = Client::open(url.expose_secret()).map_err(|_| BadRedisUrl)?;
        let inner = Inner { client, timeout, connection: RwLock::new(None), probing: AtomicBool::new(false) };
        let kv = Self(Arc::new(inner));
        match kv.0.connect().await {
            Ok(connection) => kv.0.is_back(connection),
            Err(error) => kv.is_gone(&error),
        }
        Ok(kv)
    }

    /// Whether Redis answers, as far as the last call says.
    pub fn is_up(&self) -> bool {
        self.0.connection().is_some()
    }

    /// Runs a script as one atomic step; `None` if Redis is gone, too slow, or refuses.
    pub async fn call<T: FromRedisValue>(&self, script: &Script, keys: &[String], args: &[&[u8]]) -> Option<T> {
        let mut connection = self.0.connection()?;
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        for arg in args {
            call.arg(*arg);
        }
        match tokio::time::timeout(self.0.timeout, call.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => Some(answer),
            // What is stored under one key may be anything: that is no reason to stop asking for the others.
            Ok(Err(error)) if is_about_one_call(&error) => {
                failed("refused");
                tracing::debug!(error = %error, "Redis refused a call");
                None
            }
            Ok(Err(error)) => {
                self.is_gone(&error);
                None
            }
            Err(_) => {
                self.is_gone(&"no answer in time");
                None
            }
        }
    }

    /// Opens the circuit and begins to ask for Redis beside all requests.
    fn is_gone(&self, reason: &dyn std::fmt::Display) {
        failed("gone");
        let was_up = self.0.set(None);
        metrics::gauge!("tenantry_redis_up").set(0.0);
        if self.0.probing.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::warn!(reason = %reason, was_up, "Redis is gone: this server goes on with its own limits and caches");
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(probe(Arc::downgrade(&self.0)))),
            Err(_) => self.0.probing.store(false, Ordering::SeqCst),
        }
    }
}

/// Asks once a second until Redis answers or the server is gone.
async fn probe(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        match inner.connect().await {
            Ok(connection) => {
                // In this order: a failure from now on begins a probe of its own.
                inner.probing.store(false, Ordering::SeqCst);
                inner.is_back(connection);
                tracing::info!("Redis is back");
                return;
            }
            Err(error) => tracing::debug!(error = %error, "Redis is still gone"),
        }
    }
}

impl Inner {
    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there was one before.
    fn set(&self, connection: Option<MultiplexedConnection>) -> bool {
        let mut place = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, connection).is_some()
    }

    fn is_back(&self, connection: MultiplexedConnection) {
        self.set(Some(connection));
        metrics::gauge!("tenantry_redis_up").set(1.0);
    }

    /// A connection on which Redis has answered.
    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(CONNECT_WITHIN));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        // Not PING alone: one that still loads its data answers that, too, and no script.
        let one: i64 = redis::cmd("EVAL").arg("return 1").arg(0).query_async(&mut connection).await?;
        tracing::debug!(one, "Redis answers");
        Ok(connection)
    }
}

fn failed(reason: &'static str) {
    metrics::counter!("tenantry_redis_failures_total", "reason" => reason).increment(1);
}

/// An answer of Redis about this very call, for example a value of the wrong type.
fn is_about_one_call(error: &RedisError) -> bool {
    let unusable = ["LOADING", "READONLY", "OOM", "MISCONF", "BUSY", "MASTERDOWN", "NOAUTH", "NOPERM"];
    !error.is_io_error()
        && !error.is_timeout()
        && !error.is_connection_dropped()
        && error.code().is_some_and(|code| !unusable.contains(&code))
}
