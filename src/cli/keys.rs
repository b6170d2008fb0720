//! `tenantry keys generate`.

use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use tenantry::config::Key32;

#[derive(Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Print fresh secrets as environment variables; keep them like passwords.
    Generate,
}

pub fn run(args: &KeysArgs) -> anyhow::Result<ExitCode> {
    let KeysCommand::Generate = args.command;
    let mut out = stdout().lock();
    for variable in ["TENANTRY_TOKEN_KEY", "TENANTRY_CURSOR_KEY", "TENANTRY_COOKIE_KEY"] {
        let key = Key32::generate().context("the operating system gave no random bytes")?;
        writeln!(out, "{variable}={}", key.to_base64().expose_secret())?;
    }
    Ok(ExitCode::SUCCESS)
}
