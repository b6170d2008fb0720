//! Every setting, defined once: as a flag, an environment variable and a key of the settings file.
//!
//! A field below, say `pool_size`, is the flag `--pool-size`, the variable `TENANTRY_POOL_SIZE` (only `database_url` is
//! `DATABASE_URL` and `redis_url` is `REDIS_URL`) and the key `pool_size` of the TOML file. The flag wins over the variable, the variable over the
//! file, the file over the default ([`load`]). Names that nobody knows and values that do not fit are refused
//! with the name, the value and what was expected; a secret's value is shown nowhere.
//!
//! Start reading at [`Settings`]; to add a setting, add a field with its doc comment, which is also its `--help`.

mod load;
mod values;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use ipnetwork::IpNetwork;
use secrecy::SecretString;
use url::Url;

pub use load::{ConfigError, Inputs, Origin, load};
pub use values::{DEMO_KEY_PREFIX, Key32, KeyError, Keys, postgres_url};

use values::{
    domain, http_url, key, key_environment, log_filter, network, one_of, origin, redis_url, socket_address,
    true_or_false, within,
};

/// Networks in CIDR notation.
pub type Networks = Vec<IpNetwork>;
/// Web origins such as `https://app.example.com`.
pub type Origins = Vec<String>;

/// Where the database is, one URL per login. They hold passwords.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Database logins")]
pub struct DatabaseUrls {
    /// The runtime login (`tenantry_app`): owns nothing and is bound by row-level security.
    #[arg(long, value_name = "URL", value_parser = postgres_url, hide_default_value = true, hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// The login for operators' work (`tenantry_platform`); without it, the platform API is off.
    #[arg(long, value_name = "URL", value_parser = postgres_url, hide_default_value = true, hide_env_values = true)]
    pub platform_url: Option<SecretString>,
    /// The login for migrations (`tenantry_migrate`); `serve` does not need it.
    #[arg(long, value_name = "URL", value_parser = postgres_url, hide_default_value = true, hide_env_values = true)]
    pub migrate_url: Option<SecretString>,
}

/// Every setting but the database logins.
#[derive(Args, Debug, Clone)]
pub struct Settings {
    /// The server's addresses and bounds.
    #[command(flatten)]
    pub server: ServerSettings,
    /// The connections to the database.
    #[command(flatten)]
    pub pool: PoolSettings,
    /// Subscriptions.
    #[command(flatten)]
    pub sockets: SocketSettings,
    /// The bounds of one GraphQL document.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// The bounds of what comes in at a time.
    #[command(flatten)]
    pub rates: RateSettings,
    /// The Redis that several servers share.
    #[command(flatten)]
    pub redis: RedisSettings,
    /// Tokens and secrets.
    #[command(flatten)]
    pub auth: AuthSettings,
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,
}

/// The server's addresses and bounds.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Server")]
pub struct ServerSettings {
    /// The address of the API.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub listen: SocketAddr,
    /// The address of health checks and metrics; keep it off the internet.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090", value_parser = socket_address)]
    pub admin_listen: SocketAddr,
    /// The URL under which clients reach this server, when a proxy stands before it.
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub public_url: Option<Url>,
    /// The domain whose subdomains are tenants: with `example.com`, `acme.example.com` is the tenant `acme`.
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    pub base_domain: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed, as networks separated by commas.
    #[arg(long, value_name = "CIDR,…", default_value = "", value_parser = network, hide_default_value = true)]
    pub trusted_proxies: Networks,
    /// Web origins that may call the API from a browser, separated by commas.
    #[arg(long, value_name = "ORIGIN,…", default_value = "", value_parser = origin, hide_default_value = true)]
    pub cors_origins: Origins,
    /// How many threads serve requests, each with its share of the database connections; by default one for each core. With
    /// 0, requests run on the threads of everything else.
    #[arg(long, value_name = "COUNT", default_value_t = cores(), value_parser = within::<usize>(0, 256))]
    pub workers: usize,
    /// The longest request body in bytes.
    #[arg(long, value_name = "BYTES", default_value = "262144", value_parser = within::<usize>(1_024, 16_777_216))]
    pub max_body_bytes: usize,
    /// The longest time for one request in milliseconds.
    #[arg(long, value_name = "MS", default_value = "10000", value_parser = within::<u64>(100, 600_000))]
    pub request_timeout_ms: u64,
    /// How long a stopping server waits for its open requests, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "15000", value_parser = within::<u64>(0, 600_000))]
    pub shutdown_grace_ms: u64,
    /// Whether GraphiQL is served at `/graphiql`.
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set, value_parser = true_or_false)]
    pub graphiql: bool,
    /// Who may ask for the schema: `auth` (whoever is signed in), `all` or `off`.
    #[arg(long, value_name = "WHO", default_value = "auth", value_parser = one_of::<Introspection>())]
    pub introspection: Introspection,
    /// Whether answers say how many SQL statements and rows they took. For development: the figures of something invisible
    /// differ from those of something that is not there.
    #[arg(long, value_name = "BOOL", default_value = "false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set, value_parser = true_or_false)]
    pub show_sql_figures: bool,
}

/// The connections to the database.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Database connections")]
pub struct PoolSettings {
    /// How many connections there may be at most; by default four for each core.
    #[arg(long, value_name = "COUNT", default_value_t = default_pool_size(), value_parser = within::<usize>(2, 1_000))]
    pub pool_size: usize,
    /// How long a request waits for a free connection, in milliseconds, before it is told to come back later.
    #[arg(long, value_name = "MS", default_value = "2000", value_parser = within::<u64>(10, 60_000))]
    pub pool_wait_ms: u64,
    /// Where the server listens for the database's notifications: PostgreSQL itself, never a pooler in transaction mode;
    /// by default the URL of the runtime login.
    #[arg(long, value_name = "URL", value_parser = postgres_url, hide_default_value = true, hide_env_values = true)]
    pub listen_url: Option<SecretString>,
}

/// Subscriptions over WebSockets.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Subscriptions")]
pub struct SocketSettings {
    /// How many sockets one person or API key may have open in one server.
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = within::<usize>(1, 10_000))]
    pub sockets_per_principal: usize,
    /// How many subscriptions one socket may carry.
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = within::<usize>(1, 1_000))]
    pub socket_subscriptions: usize,
    /// How many messages may wait for a client that does not read.
    #[arg(long, value_name = "COUNT", default_value = "256", value_parser = within::<usize>(1, 100_000))]
    pub socket_queue: usize,
    /// How long a client may take to read what waits for it, in milliseconds, before the socket is closed.
    #[arg(long, value_name = "MS", default_value = "10000", value_parser = within::<u64>(10, 600_000))]
    pub socket_patience_ms: u64,
    /// How often a silent client is asked for a sign of life, in milliseconds; two without an answer end the socket.
    #[arg(long, value_name = "MS", default_value = "15000", value_parser = within::<u64>(100, 600_000))]
    pub socket_ping_ms: u64,
}

/// The bounds of one GraphQL document; each is answered with its own error code.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Limits of one GraphQL document")]
pub struct LimitSettings {
    /// Tokens of the text.
    #[arg(long, value_name = "COUNT", default_value = "5000", value_parser = within::<usize>(100, 100_000))]
    pub limit_tokens: usize,
    /// Levels of nested fields.
    #[arg(long, value_name = "COUNT", default_value = "12", value_parser = within::<usize>(2, 100))]
    pub limit_depth: usize,
    /// Aliases.
    #[arg(long, value_name = "COUNT", default_value = "30", value_parser = within::<usize>(0, 10_000))]
    pub limit_aliases: usize,
    /// Root fields of a query.
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = within::<usize>(1, 1_000))]
    pub limit_root_fields: usize,
    /// Root fields of a mutation.
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = within::<usize>(1, 1_000))]
    pub limit_mutations: usize,
    /// Directives.
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = within::<usize>(0, 10_000))]
    pub limit_directives: usize,
    /// Cost, added up from the schema's `@cost` and `@listSize`.
    #[arg(long, value_name = "POINTS", default_value = "2000", value_parser = within::<u64>(10, 10_000_000))]
    pub limit_cost: u64,
}

/// The bounds of what comes in at a time: buckets of points, buckets of sign-ins, and how much of a tenant runs at once.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Limits of the rate of requests")]
pub struct RateSettings {
    /// Points that the bucket of a tenant holds, where its plan says nothing else.
    #[arg(long, value_name = "POINTS", default_value = "20000", value_parser = within::<u64>(1, 1_000_000_000))]
    pub rate_tenant_points: u64,
    /// Points that flow into the bucket of a tenant in a second, where its plan says nothing else.
    #[arg(long, value_name = "POINTS", default_value = "200", value_parser = within::<u64>(1, 1_000_000_000))]
    pub rate_tenant_refill: u64,
    /// Points that the bucket of a person or an API key holds, in each tenant.
    #[arg(long, value_name = "POINTS", default_value = "5000", value_parser = within::<u64>(1, 1_000_000_000))]
    pub rate_principal_points: u64,
    /// Points that flow into the bucket of a person or an API key in a second.
    #[arg(long, value_name = "POINTS", default_value = "50", value_parser = within::<u64>(1, 1_000_000_000))]
    pub rate_principal_refill: u64,
    /// Points that the bucket of an address holds, for requests without a credential.
    #[arg(long, value_name = "POINTS", default_value = "1000", value_parser = within::<u64>(1, 1_000_000_000))]
    pub rate_address_points: u64,
    /// Points that flow into the bucket of an address in a second.
    #[arg(long, value_name = "POINTS", default_value = "10", value_parser = within::<u64>(1, 1_000_000_000))]
    pub rate_address_refill: u64,
    /// Attempts to sign in to one account that may come at once.
    #[arg(long, value_name = "COUNT", default_value = "15", value_parser = within::<u64>(1, 1_000_000))]
    pub sign_in_account_burst: u64,
    /// Attempts to sign in to one account that are added in a minute.
    #[arg(long, value_name = "COUNT", default_value = "6", value_parser = within::<u64>(1, 1_000_000))]
    pub sign_in_account_per_minute: u64,
    /// Attempts to sign in from one address that may come at once.
    #[arg(long, value_name = "COUNT", default_value = "60", value_parser = within::<u64>(1, 1_000_000))]
    pub sign_in_address_burst: u64,
    /// Attempts to sign in from one address that are added in a minute.
    #[arg(long, value_name = "COUNT", default_value = "60", value_parser = within::<u64>(1, 1_000_000))]
    pub sign_in_address_per_minute: u64,
    /// Operations of one tenant that run at once in this server, where its plan says nothing else; by default half as many as there are connections to the database.
    #[arg(long, value_name = "COUNT", value_parser = within::<usize>(1, 100_000))]
    pub tenant_concurrency: Option<usize>,
    /// Operations of one tenant that may wait for their turn; any further one is refused at once.
    #[arg(long, value_name = "COUNT", default_value = "16", value_parser = within::<usize>(0, 100_000))]
    pub tenant_queue: usize,
    /// How long an operation waits for its turn, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "250", value_parser = within::<u64>(0, 60_000))]
    pub tenant_queue_ms: u64,
}

impl RateSettings {
    /// How many operations of one tenant run at once, beside a pool of so many connections.
    pub fn concurrency(&self, pool_size: usize) -> usize {
        self.tenant_concurrency.unwrap_or(pool_size / 2).max(1)
    }
}

/// The Redis that several servers share, for limits and caches.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Redis")]
pub struct RedisSettings {
    /// Where Redis is; without it every server has limits and caches of its own.
    #[arg(long, value_name = "URL", value_parser = redis_url, hide_default_value = true, hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    /// How long a request waits for Redis, in milliseconds, before it goes on without.
    #[arg(long, value_name = "MS", default_value = "50", value_parser = within::<u64>(1, 5_000))]
    pub redis_timeout_ms: u64,
}

/// Tokens and secrets.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Tokens and secrets")]
pub struct AuthSettings {
    /// How long an access token is good for, in seconds; at most 15 minutes.
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = within::<u64>(30, 900))]
    pub access_token_ttl_seconds: u64,
    /// How long a refresh token is good for, in seconds; by default 30 days.
    #[arg(long, value_name = "SECONDS", default_value = "2592000", value_parser = within::<u64>(900, 31_536_000))]
    pub refresh_token_ttl_seconds: u64,
    /// The second part of new API keys, `tnk_live_…`: tells the keys of one installation from those of another.
    #[arg(long, value_name = "WORD", default_value = "live", value_parser = key_environment)]
    pub api_key_environment: String,
    /// How long rights, tenants, sessions and keys may be taken from the cache, in milliseconds, after notices of changes were
    /// heard for the last time.
    #[arg(long, value_name = "MS", default_value = "4000", value_parser = within::<u64>(0, 4_000))]
    pub rights_cache_ttl_ms: u64,
    /// The three secrets of `serve`.
    #[command(flatten)]
    pub keys: KeySettings,
}

/// The three secrets of `serve`; `tenantry keys generate` prints fresh ones.
#[derive(Args, Debug, Clone, Default)]
pub struct KeySettings {
    /// Encrypts the keys that sign access tokens: base64 of 32 random bytes.
    #[arg(long, value_name = "BASE64", value_parser = key, hide_default_value = true, hide_env_values = true)]
    pub token_key: Option<Key32>,
    /// Protects the cursors of lists: base64 of 32 random bytes.
    #[arg(long, value_name = "BASE64", value_parser = key, hide_default_value = true, hide_env_values = true)]
    pub cursor_key: Option<Key32>,
    /// Protects session cookies: base64 of 32 random bytes.
    #[arg(long, value_name = "BASE64", value_parser = key, hide_default_value = true, hide_env_values = true)]
    pub cookie_key: Option<Key32>,
}

/// Logs and traces.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Logs and traces")]
pub struct TelemetrySettings {
    /// How log lines look: `text` for people, `json` for machines.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = one_of::<LogFormat>())]
    pub log_format: LogFormat,
    /// What is logged, as `level` or `target=level`, separated by commas.
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = log_filter)]
    pub log_filter: String,
    /// From how many milliseconds on an operation is logged as slow, with what it cost the database; 0 logs none.
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = within::<u64>(0, 600_000))]
    pub slow_operation_ms: u64,
    /// Whether the three slowest statements of a slow operation are logged with their plans, never with their values. Costs
    /// every statement a little, so turn it on to look for something.
    #[arg(long, value_name = "BOOL", default_value = "false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set, value_parser = true_or_false)]
    pub slow_operation_plans: bool,
    /// Where traces are sent by OTLP over HTTP; nowhere without it.
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub otlp_endpoint: Option<Url>,
}

/// Settings of the private PostgreSQL that `dev` starts.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Private PostgreSQL")]
pub struct PrivatePostgresSettings {
    /// The folder with PostgreSQL's server programs (`postgres`, `initdb`); by default the newest installed ones.
    #[arg(long, value_name = "FOLDER")]
    pub postgres_programs: Option<PathBuf>,
}

/// Who may ask for the schema.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspection {
    /// Whoever is signed in or has an API key.
    Auth,
    /// Everybody.
    All,
    /// Nobody.
    Off,
}

/// How log lines look.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Settings that no command takes together; they make up the list of known names.
#[derive(Args)]
struct Everything {
    #[command(flatten)]
    urls: DatabaseUrls,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    private_postgres: PrivatePostgresSettings,
}

impl Default for Settings {
    /// What an empty command line, environment and file give.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            settings: Settings,
        }
        <Alone as clap::Parser>::parse_from(["tenantry"]).settings
    }
}

impl KeySettings {
    /// The secrets as `serve` needs them: all three, each its own, none of them made for a demo.
    ///
    /// # Errors
    /// [`KeyError`] with the names of the settings.
    pub fn for_production(&self) -> Result<Keys, KeyError> {
        let keys = self.all()?;
        let demo = keys.named().into_iter().find(|(_, key)| key.is_demo()).map(|(name, _)| name);
        demo.map_or(Ok(keys), |name| Err(KeyError::Demo { name }))
    }

    /// The secrets, demo or not.
    ///
    /// # Errors
    /// [`KeyError::Missing`] and [`KeyError::Repeated`].
    pub fn all(&self) -> Result<Keys, KeyError> {
        let (Some(token), Some(cursor), Some(cookie)) = (&self.token_key, &self.cursor_key, &self.cookie_key) else {
            let given =
                [("token_key", &self.token_key), ("cursor_key", &self.cursor_key), ("cookie_key", &self.cookie_key)];
            let names = given.into_iter().filter(|(_, key)| key.is_none()).map(|(name, _)| name).collect();
            return Err(KeyError::Missing { names });
        };
        Keys { token: token.clone(), cursor: cursor.clone(), cookie: cookie.clone() }.distinct()
    }
}

/// Four connections for each core: more backends than that cost PostgreSQL more than they bring.
fn default_pool_size() -> usize {
    (cores() * 4).max(2)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
