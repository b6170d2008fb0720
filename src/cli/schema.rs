//! `tenantry schema`: the API's schema as text.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use tenantry::app::schema;

/// Prints the GraphQL schema, or compares it with the committed file.
#[derive(Args)]
pub struct SchemaArgs {
    /// Compare with the file instead of printing; the exit code tells.
    #[arg(long)]
    check: bool,
    /// Write the file instead of printing.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// The file.
    #[arg(long, value_name = "FILE", default_value = "schema.graphql")]
    file: PathBuf,
}

/// `tenantry schema`.
pub fn run(args: &SchemaArgs) -> Result<ExitCode> {
    let text = schema::sdl(&schema::build());
    if args.write {
        fs::write(&args.file, text).with_context(|| format!("cannot write {}", args.file.display()))?;
    } else if args.check {
        let committed =
            fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
        if let Some((line, (now, before))) =
            text.lines().zip(committed.lines()).enumerate().find(|(_, (now, before))| now != before)
        {
            eprintln!("line {}:\n- {before}\n+ {now}", line + 1);
        }
        if text != committed {
            let file = args.file.display();
            eprintln!("{file} is not what the program serves. Run: tenantry schema --write");
            return Ok(ExitCode::FAILURE);
        }
    } else {
        print!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}
