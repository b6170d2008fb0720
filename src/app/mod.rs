//! The shared parts, wired once: database, caches, keys, limits; the schema put together from the slices.
//!
//! This is the one module that knows every slice. [`schema`] assembles the API, [`pipeline`] is the way of a request
//! through it, [`server`] listens.

pub mod demo;
mod documents;
mod downloads;
mod metering;
mod notices;
pub mod pipeline;
pub mod schema;
pub mod server;
pub mod sockets;
mod watch;

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    cache::{Hearing, SharedCache},
    clock::Clock,
    config::{Introspection, Keys, Settings},
    context::{MembershipCache, TenantCache},
    db::{BadUrl, Db, DbError, LoginError, PoolOptions, PoolerError, check_pooler, migrate},
    domain::{Services, audit::RefusalQueue, identity, live::Live},
    graphql::{
        cursor::CursorKey,
        inputs::Inputs,
        policy::{Limits, PolicyTable, PolicyTableError},
    },
    kv::{BadRedisUrl, Kv},
};
use documents::DocumentCache;
use schema::Schema;

/// Why the parts do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The schema declares its access wrongly; the server must not start.
    #[error("the schema's access declarations are wrong:\n{}", .0.iter().map(|error| format!("  {}: {}", error.at, error.problem)).collect::<Vec<_>>().join("\n"))]
    Policy(Vec<PolicyTableError>),
    /// A database URL cannot be used.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The database cannot be asked.
    #[error("the database cannot be used")]
    Db(#[from] DbError),
    /// What stands before the database breaks statements.
    #[error(transparent)]
    Pooler(#[from] PoolerError),
    /// The login has more rights than a server may have.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The database's migrations cannot be compared.
    #[error(transparent)]
    Migrations(#[from] migrate::MigrateError),
    /// The tables are older than this program.
    #[error("these migrations have not run: {}. Run `tenantry migrate up` first; a server never migrates by itself", .0.join(", "))]
    Pending(Vec<String>),
    /// Redis cannot be asked.
    #[error(transparent)]
    Redis(#[from] BadRedisUrl),
    /// The signing keys cannot be read or made.
    #[error("the keys that sign access tokens cannot be used")]
    Keys(#[source] identity::KeyError),
}

/// The parts of a running server.
pub struct App {
    /// What the use cases work with.
    pub services: Arc<Services>,
    /// The API.
    pub schema: Schema,
    schema_for_valid_documents: Schema,
    table: PolicyTable,
    inputs: Inputs,
    limits: Limits,
    introspection: Introspection,
    show_sql_figures: bool,
    documents: DocumentCache,
    authenticator: identity::Authenticator,
    metering: metering::Metering,
    watch: watch::Watch,
    kv: Option<Kv>,
    base_domain: Option<String>,
    public_host: Option<String>,
    /// How many files may be written at once.
    downloads: Arc<tokio::sync::Semaphore>,
}

impl App {
    /// Wires the parts, on a login that row-level security binds and on tables that are as new as this program. Reads the
    /// signing keys from the database, and makes one if there is none.
    ///
    /// # Errors
    /// [`AppError`]; a wrong schema is a defect of the release, the others are settings.
    pub async fn new(
        settings: &Settings,
        keys: &Keys,
        database_url: &SecretString,
        platform_url: Option<&SecretString>,
        clock: Clock,
    ) -> Result<Arc<Self>, AppError> {
        let options = PoolOptions {
            size: settings.pool.pool_size,
            wait: Duration::from_millis(settings.pool.pool_wait_ms),
            shares: settings.server.workers,
            statements_last: PoolOptions::STATEMENTS_LAST,
        };
        // Before the first statement that is prepared: a pooler that breaks them gives errors that say nothing.
        for url in [Some(database_url), platform_url].into_iter().flatten() {
            check_pooler(url).await?;
        }
        let db = Db::new(database_url, platform_url, &options)?;
        db.check_login().await??;
        let pending = migrate::pending(database_url.expose_secret()).await?;
        if !pending.is_empty() {
            return Err(AppError::Pending(pending));
        }
        let schema = schema::build();
        let sdl = schema::sdl(&schema);
        let table = PolicyTable::from_sdl(&sdl).map_err(AppError::Policy)?;
        let kv = match &settings.redis.redis_url {
            Some(url) => Some(Kv::start(url, Duration::from_millis(settings.redis.redis_timeout_ms)).await?),
            None => None,
        };
        let shared = kv.clone().map(|kv| SharedCache::new(kv, keys.cursor.clone()));
        let hearing = Hearing::default();
        let cache_ttl = Duration::from_millis(settings.auth.rights_cache_ttl_ms);
        let identity = identity::Identity::start(
            &db,
            &clock,
            keys,
            &settings.auth,
            settings.server.public_url.as_ref(),
            shared.as_ref(),
            &hearing,
        )
        .await
        .map_err(AppError::Keys)?;
        let services = Arc::new(Services {
            refusals: RefusalQueue::start(db.clone()),
            live: Live::new(&db, &clock),
            db,
            clock: clock.clone(),
            memberships: MembershipCache::new(!cache_ttl.is_zero(), clock.clone(), shared.as_ref(), &hearing),
            tenants: TenantCache::new(cache_ttl, clock.clone(), shared.as_ref(), &hearing),
            hearing,
            cursors: CursorKey::new(keys.cursor.expose()),
            principal_rate: metering::principal_rate(settings),
            identity,
        });
        let metering = metering::Metering::new(settings, keys.cursor.clone(), services.clock.clone(), kv.clone());
        Ok(Arc::new(Self {
            authenticator: identity::Authenticator::new(services.identity.clone()),
            metering,
            watch: watch::Watch::new(&settings.telemetry, &services.db),
            kv,
            services,
            schema,
            schema_for_valid_documents: schema::build_for_valid_documents(),
            table,
            inputs: Inputs::from_sdl(&sdl),
            limits: limits(settings),
            introspection: settings.server.introspection,
            show_sql_figures: settings.server.show_sql_figures,
            documents: DocumentCache::default(),
            base_domain: settings.server.base_domain.as_ref().map(|domain| domain.to_lowercase()),
            downloads: Arc::new(tokio::sync::Semaphore::new(downloads::AT_ONCE)),
            public_host: settings.server.public_url.as_ref().and_then(|url| url.host_str()).map(str::to_lowercase),
        }))
    }
}

fn limits(settings: &Settings) -> Limits {
    let fits = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Limits {
        tokens: fits(settings.limits.limit_tokens),
        depth: fits(settings.limits.limit_depth),
        aliases: fits(settings.limits.limit_aliases),
        root_fields: fits(settings.limits.limit_root_fields),
        mutations: fits(settings.limits.limit_mutations),
        directives: fits(settings.limits.limit_directives),
        cost: settings.limits.limit_cost,
        ..Limits::default()
    }
}
