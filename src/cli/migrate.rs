//! `tenantry migrate up|status|down|roles`.

use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use tenantry::{config::DatabaseUrls, db::migrate};

use super::block_on;

/// The step that makes the roles; a DBA may run it instead of us.
const ROLES: &str = include_str!("../../migrations/00000000000000_roles/up.sql");

#[derive(Args)]
pub struct MigrateArgs {
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Subcommand)]
enum MigrateCommand {
    /// Run every migration that has not run.
    Up {
        #[command(flatten)]
        urls: DatabaseUrls,
    },
    /// List the migrations; exits with 1 if some have not run.
    Status {
        #[command(flatten)]
        urls: DatabaseUrls,
    },
    /// Take back the last migrations, and with them the data of their tables.
    Down {
        /// How many.
        #[arg(long, value_name = "COUNT", default_value = "1")]
        steps: usize,
        #[command(flatten)]
        urls: DatabaseUrls,
    },
    /// Print the SQL that makes the roles, for a DBA who keeps the superuser's login.
    Roles,
}

pub fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let mut out = stdout().lock();
    match args.command {
        MigrateCommand::Up { urls } => {
            let done = block_on(async { Ok(migrate::up(migrate_url(&urls)?.expose_secret()).await?) })?;
            for name in &done {
                writeln!(out, "applied {name}")?;
            }
            if done.is_empty() {
                writeln!(out, "The database is up to date.")?;
            }
        }
        MigrateCommand::Status { urls } => {
            let status = block_on(async { Ok(migrate::status(migrate_url(&urls)?.expose_secret()).await?) })?;
            for step in &status.steps {
                writeln!(out, "{} {}", if step.is_applied { "applied" } else { "pending" }, step.name)?;
            }
            for version in &status.unknown {
                writeln!(out, "unknown {version} (made by a newer version of tenantry)")?;
            }
            if !status.pending().is_empty() || !status.unknown.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
        MigrateCommand::Down { steps, urls } => {
            let done = block_on(async { Ok(migrate::down(migrate_url(&urls)?.expose_secret(), steps).await?) })?;
            for name in &done {
                writeln!(out, "taken back {name}")?;
            }
            if done.is_empty() {
                writeln!(out, "No migration has run.")?;
            }
        }
        MigrateCommand::Roles => {
            writeln!(
                out,
                "-- The roles of Tenantry. As a superuser, in the database that Tenantry shall have:\n\
                 --   tenantry migrate roles | psql -X -v ON_ERROR_STOP=1 -d tenantry\n\
                 -- Then give each login a password (\\password tenantry_migrate, tenantry_app, tenantry_platform) and run\n\
                 -- `tenantry migrate up` with TENANTRY_MIGRATE_URL. Running it again changes nothing.\n\
                 BEGIN;\n{ROLES}\nCOMMIT;"
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn migrate_url(urls: &DatabaseUrls) -> anyhow::Result<&SecretString> {
    urls.migrate_url.as_ref().context(
        "TENANTRY_MIGRATE_URL is not set. Migrations change tables and need the login that may: \
         TENANTRY_MIGRATE_URL=postgres://tenantry_migrate:…@host/database, or --migrate-url",
    )
}
