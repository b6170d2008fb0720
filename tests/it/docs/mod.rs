//! The documents are true: every block of code in them runs, and what they name exists.
//!
//! The first word behind a fence says how a block is checked; words behind it are notes for the test and are not shown
//! where Markdown is rendered:
//!
//! - ` ```graphql `: runs against the demo data, and a ` ```json ` block behind it is the answer (`…` stands for any text);
//! - ` ```bash `: every line is a command that exists, with arguments it takes;
//! - ` ```bash ` and ` ```sql ` with `run=`: the blocks of one name are run in their order (see `sessions`);
//! - ` ```rust path `: stands in that file, word for word;
//! - ` ```toml `: is a settings file that is accepted;
//! - ` ```ini run=pgbouncer `: a PgBouncer runs with it (see `pooling`);
//! - ` ```text `: is not checked.

pub mod blocks;
mod commands;
mod generated;
mod names;
mod permissions;
mod queries;
mod sessions;

#[test]
fn every_block_is_of_a_kind_that_is_checked() {
    let known = ["graphql", "json", "sql", "bash", "rust", "toml", "ini", "text"];
    for block in blocks::all() {
        assert!(known.contains(&block.language.as_str()), "{block}: mark it as text if it cannot be checked");
    }
}

/// SQL is run or is marked as text; JSON can be read.
#[test]
fn no_block_only_looks_like_one_that_is_checked() {
    for block in blocks::all() {
        assert!(block.language != "sql" || block.note("run").is_some(), "{block}: no test runs it");
        if block.language == "json" {
            let read = serde_json::from_str::<serde_json::Value>(&block.text);
            assert!(read.is_ok(), "{block}: {read:?}");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = blocks::document("README.md").text.lines().count();
    assert!(lines <= 120, "README.md has {lines} lines");
}

/// A block of Rust shows what is there: it stands in the file it names, lines left out with `// …`.
#[test]
fn every_block_of_rust_stands_in_the_code() {
    for block in blocks::all().into_iter().filter(|block| block.language == "rust") {
        let path = block.notes.first().unwrap_or_else(|| panic!("{block}: name the file it stands in"));
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let source =
            std::fs::read_to_string(blocks::root().join(path)).unwrap_or_else(|error| panic!("{block}: {error}"));
        let source = squeezed(&source);
        let mut from = 0;
        for part in block.text.split("// …") {
            let part = squeezed(part);
            let at = source[from..].find(&part).unwrap_or_else(|| panic!("{block}: not in {path}:\n{part}"));
            from += at + part.len();
        }
    }
}

/// A block of TOML is a settings file.
#[test]
fn every_settings_file_is_accepted() {
    for block in blocks::all().into_iter().filter(|block| block.language == "toml") {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tenantry.toml");
        std::fs::write(&file, &block.text).expect("written");
        let inputs = tenantry::config::Inputs {
            args: ["tenantry", "--config"].map(Into::into).into_iter().chain([file.into_os_string()]).collect(),
            variables: Vec::new(),
            folder: folder.path().to_owned(),
        };
        #[derive(clap::Parser)]
        struct Alone {
            #[arg(long)]
            config: Option<std::path::PathBuf>,
            #[command(flatten)]
            settings: tenantry::config::Settings,
        }
        tenantry::config::load::<Alone>(&inputs).unwrap_or_else(|error| panic!("{block}: {error}"));
    }
}
