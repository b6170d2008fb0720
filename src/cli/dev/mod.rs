//! `tenantry dev`: from nothing to a running server with one command.
//!
//! The order matters: the lock first (a second instance must not touch anything), then the addresses (a taken port is
//! told before a database is made), then the database, and last the server. Stopping goes the other way round.

mod state;
mod table;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tenantry::{
    config::{DatabaseUrls, PrivatePostgresSettings, Settings, postgres_url},
    db::{
        embedded::{self, Cluster, ClusterOptions, InstanceLock, SUPERUSER},
        migrate,
    },
};

use super::{seed, serve, signals};
use state::{Running, State};

pub use state::{Demo, DemoApiKey, DemoSignIn, DemoTenant, random_password};

/// The database in the private PostgreSQL.
const DATABASE: &str = "tenantry";

#[derive(Args)]
pub struct DevArgs {
    /// Delete the private database and everything in it first.
    #[arg(long, conflicts_with = "own_database_url")]
    reset: bool,
    /// The folder for the private database, its demo secrets and `dev.json`.
    #[arg(long, value_name = "FOLDER", default_value = ".tenantry")]
    state_dir: PathBuf,
    // Flags only: a DATABASE_URL that lies in the environment for something else must not be filled with demo data.
    /// Use this database instead of a private one, with the login `tenantry_app`; needs --migrate-url too.
    #[arg(long = "database-url", id = "own_database_url", value_name = "URL", value_parser = postgres_url,
          requires = "own_migrate_url")]
    database_url: Option<SecretString>,
    /// The same database with the login `tenantry_migrate`.
    #[arg(long = "migrate-url", id = "own_migrate_url", value_name = "URL", value_parser = postgres_url,
          requires = "own_database_url")]
    migrate_url: Option<SecretString>,
    /// The same database with the login `tenantry_platform`.
    #[arg(long = "platform-url", id = "own_platform_url", value_name = "URL", value_parser = postgres_url,
          requires = "own_database_url")]
    platform_url: Option<SecretString>,
    #[command(flatten)]
    private_postgres: PrivatePostgresSettings,
    #[command(flatten)]
    settings: Settings,
}

pub fn run(args: DevArgs) -> Result<ExitCode> {
    let began = Instant::now();
    let DevArgs { reset, state_dir, database_url, migrate_url, platform_url, private_postgres, mut settings } = args;
    fs::create_dir_all(&state_dir).with_context(|| format!("cannot create {}", state_dir.display()))?;
    let options = ClusterOptions {
        programs_dir: private_postgres.postgres_programs,
        ..ClusterOptions::new(state_dir.join("postgres"))
    };

    let lock = InstanceLock::acquire(&options.data_dir)?;
    let api = listen("listen", settings.server.listen)?;
    let admin = listen("admin-listen", settings.server.admin_listen)?;
    if reset {
        embedded::delete(&lock)?;
        State::delete(&state_dir)?;
    }
    let mut state = State::open(&state_dir)?;
    settings.auth.keys = state.keys(&settings.auth.keys)?;

    // The lock lives in the database, or beside it; either way until the end.
    let database = match (database_url, migrate_url) {
        (Some(runtime), Some(migrate)) => Database::Own { runtime, migrate, platform: platform_url, lock },
        _ => {
            let cluster = Cluster::start_locked(options, lock)?;
            for notice in cluster.notices() {
                eprintln!("note: {notice}");
            }
            Database::Private(Arc::new(cluster))
        }
    };
    let urls = database.urls();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        database.prepare().await?;
        if let Some(demo) = seed::demo_if_empty(&settings, &urls).await? {
            state.keep_demo(demo)?;
        }
        if state.demo().is_none() {
            eprintln!(
                "note: the database holds data that was not made here, so there are no demo sign-ins to show. \
                 `tenantry dev --reset` starts over."
            );
        }

        let addresses = Addresses::new(&settings, &api, &admin)?;
        let demo = state.demo().cloned().unwrap_or_default();
        state.write_running(&Running {
            endpoint: &addresses.endpoint,
            graphiql: addresses.graphiql.as_deref(),
            admin: &addresses.admin,
            process_id: std::process::id(),
            tenants: &demo.tenants,
            sign_ins: &demo.sign_ins,
            api_keys: &demo.api_keys,
            database_url: exposed(urls.database_url.as_ref()),
            platform_url: urls.platform_url.as_ref().map(ExposeSecret::expose_secret),
            migrate_url: exposed(urls.migrate_url.as_ref()),
        })?;
        database.announce(&addresses.endpoint)?;
        table::print(&addresses, &demo, &state_dir, began.elapsed())?;

        let signalled = signals::listen()?;
        let stop = async {
            tokio::select! {
                () = signalled => {}
                () = database.ended() => tracing::error!("the private PostgreSQL has ended; stopping as well"),
            }
        };
        serve::run(&settings, &urls, api, admin, stop).await
    });
    state.forget_running();
    drop(runtime);
    database.stop();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Where the data is.
enum Database {
    Private(Arc<Cluster>),
    Own { runtime: SecretString, migrate: SecretString, platform: Option<SecretString>, lock: InstanceLock },
}

impl Database {
    fn urls(&self) -> DatabaseUrls {
        match self {
            Self::Private(cluster) => DatabaseUrls {
                database_url: Some(cluster.url("tenantry_app", DATABASE).into()),
                platform_url: Some(cluster.url("tenantry_platform", DATABASE).into()),
                migrate_url: Some(cluster.url("tenantry_migrate", DATABASE).into()),
            },
            Self::Own { runtime, migrate, platform, .. } => DatabaseUrls {
                database_url: Some(runtime.clone()),
                platform_url: platform.clone(),
                migrate_url: Some(migrate.clone()),
            },
        }
    }

    /// Brings the tables up to date; in the private cluster, makes database and roles first.
    async fn prepare(&self) -> Result<()> {
        let done = match self {
            Self::Private(cluster) => {
                cluster.create_database(DATABASE, SUPERUSER).await?;
                // As superuser, because the first migration makes the roles and takes the database over.
                migrate::up(&cluster.url(SUPERUSER, DATABASE)).await?
            }
            Self::Own { migrate, .. } => migrate::up(migrate.expose_secret()).await?,
        };
        if !done.is_empty() {
            eprintln!("applied {} migrations", done.len());
        }
        Ok(())
    }

    fn announce(&self, url: &str) -> Result<()> {
        match self {
            Self::Private(cluster) => cluster.announce(url)?,
            Self::Own { lock, .. } => lock.announce(url)?,
        }
        Ok(())
    }

    /// Returns when the private PostgreSQL has ended by itself; otherwise never.
    async fn ended(&self) {
        let Self::Private(cluster) = self else { return std::future::pending().await };
        let (tell, told) = tokio::sync::oneshot::channel();
        let cluster = Arc::clone(cluster);
        // A thread of its own: one of the runtime's would keep the runtime from ending.
        std::thread::spawn(move || {
            cluster.wait_for_end();
            let _ = tell.send(());
        });
        let _ = told.await;
    }

    fn stop(&self) {
        if let Self::Private(cluster) = self {
            cluster.stop();
        }
    }
}

fn exposed(url: Option<&SecretString>) -> &str {
    url.map_or("", |url| url.expose_secret())
}

/// Takes an address before anything else is done.
fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    let problem = match TcpListener::bind(address) {
        Ok(listener) => {
            listener.set_nonblocking(true).with_context(|| format!("cannot prepare the address {address}"))?;
            return Ok(listener);
        }
        Err(error) => error,
    };
    let next = SocketAddr::new(address.ip(), address.port().saturating_add(1));
    match problem.kind() {
        std::io::ErrorKind::AddrInUse => {
            bail!("another program listens at {address} already. Stop it, or take another address: --{flag} {next}")
        }
        std::io::ErrorKind::PermissionDenied => {
            bail!(
                "this user may not listen at {address} (ports below 1024 are root's). Take another: --{flag} {}:8080",
                address.ip()
            )
        }
        std::io::ErrorKind::AddrNotAvailable => {
            bail!(
                "{address} is not an address of this machine. Take one of its own, or every one: --{flag} 0.0.0.0:{}",
                address.port()
            )
        }
        _ => Err(problem).with_context(|| format!("cannot listen at {address}")),
    }
}

/// The URLs that a person on this machine can open.
pub struct Addresses {
    pub endpoint: String,
    pub graphiql: Option<String>,
    pub admin: String,
}

impl Addresses {
    fn new(settings: &Settings, api: &TcpListener, admin: &TcpListener) -> Result<Self> {
        let base = match &settings.server.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(api.local_addr()?)),
        };
        Ok(Self {
            endpoint: format!("{base}/graphql"),
            graphiql: settings.server.graphiql.then(|| format!("{base}/graphiql")),
            admin: format!("http://{}", reachable(admin.local_addr()?)),
        })
    }
}

/// "Every address" cannot be opened; this machine's own can.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// A path as a person would type it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
