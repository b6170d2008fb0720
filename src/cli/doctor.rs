//! `tenantry doctor`: the rules of the database, checked from its catalogue.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use secrecy::ExposeSecret;
use tenantry::{config::DatabaseUrls, db::doctor};

/// Checks every table, policy, grant, function and view against the rules of isolation, and says how to mend what
/// breaks one. Needs the migration login; changes nothing.
#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    urls: DatabaseUrls,
}

/// `tenantry doctor`.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let url = args.urls.migrate_url.as_ref().context(
        "no database is named. Set TENANTRY_MIGRATE_URL (or --migrate-url) to the migration login: \
         postgres://tenantry_migrate:…@host/tenantry",
    )?;
    let findings = super::block_on(async { Ok(doctor::examine(url.expose_secret()).await?) })?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("Every rule holds.");
            Ok(ExitCode::SUCCESS)
        }
        count => {
            eprintln!("{count} finding(s).");
            Ok(ExitCode::FAILURE)
        }
    }
}
