//! The commands. Each file holds one: its arguments, what it prints, and the call of the library that does the work.
//!
//! Exit codes: 0 done, 1 it failed or a check found something, 2 the command line or a setting is wrong.

mod dev;
mod doctor;
mod keys;
mod migrate;
mod operators;
mod schema;
mod seed;
mod serve;
mod signals;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// The multi-tenant backend, done once: an isolated GraphQL API over PostgreSQL.
///
/// Every setting is a flag, an environment variable and a key of the settings file; the flag wins over the variable,
/// the variable over the file. To try it: `tenantry dev`.
#[derive(Parser)]
#[command(name = "tenantry", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The settings file (TOML); by default `tenantry.toml` in the current folder if it exists [env: `TENANTRY_CONFIG`].
    // Read before everything else, by `config::load`; here it is only known.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try Tenantry: a private PostgreSQL, demo data, and the server, until Ctrl-C.
    Dev(Box<dev::DevArgs>),
    /// Serve the API: the form for production.
    Serve(Box<serve::ServeArgs>),
    /// Fill an empty database with demo data.
    Seed(Box<seed::SeedArgs>),
    /// Print, write or compare the GraphQL schema.
    Schema(schema::SchemaArgs),
    /// Check the rules of isolation in the database's catalogue.
    Doctor(doctor::DoctorArgs),
    /// Create, list, suspend and resume tenants.
    #[command(subcommand)]
    Tenant(operators::TenantCommand),
    /// Create people.
    #[command(subcommand)]
    User(operators::UserCommand),
    /// Issue API keys.
    #[command(subcommand)]
    Key(operators::KeyCommand),
    /// Bring the database's tables up to date, or tell where they stand.
    Migrate(migrate::MigrateArgs),
    /// Make the secrets that `serve` needs.
    Keys(keys::KeysArgs),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Dev(args) => dev::run(*args),
            Command::Serve(args) => serve::command(*args),
            Command::Seed(args) => seed::run(&args),
            Command::Schema(args) => schema::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Tenant(command) => operators::tenant(command),
            Command::User(command) => operators::user(command),
            Command::Key(command) => operators::key(command),
            Command::Migrate(args) => migrate::run(args),
            Command::Keys(args) => keys::run(&args),
        }
    }
}

/// A runtime for the commands that talk to the database and end.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
