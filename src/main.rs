//! The command line: arguments in, exit code out. What the commands do is the library's; see `cli` for each.

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

use clap::error::ErrorKind;
use tenantry::config::{self, ConfigError, Inputs};

/// The command line or a setting is wrong; sysexits.h has no say here, clap's own code does.
const WRONG_USE: u8 = 2;

fn main() -> ExitCode {
    let cli = match config::load::<cli::Cli>(&Inputs::of_process()) {
        Ok(cli) => cli,
        Err(ConfigError::Usage(error)) => {
            // `--help` and `--version` arrive here as well; clap knows where each belongs.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(WRONG_USE) };
        }
        Err(error) => {
            eprintln!("error: {:#}", anyhow::Error::from(error));
            return ExitCode::from(WRONG_USE);
        }
    };
    cli.run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
