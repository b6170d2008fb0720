//! What is written into the documents by this test: `UPDATE_DOCS=1 cargo test --test it docs` writes, without it compares.

use std::{collections::BTreeSet, env, fmt::Write, fs};

use clap::{Args, Command};
use tenantry::{
    config::{DatabaseUrls, PrivatePostgresSettings, Settings},
    graphql::codes::{ErrorCode, UserErrorCode},
};

use super::blocks::root;

/// Compares a part of a document with what it must be, or writes it.
pub(super) fn hold(path: &str, part: &str, wanted: &str) {
    let file = root().join(path);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (begin, end) = (format!("<!-- generated: {part} -->\n"), format!("<!-- end: {part} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{path} has no {begin}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{path} has no {end}"));
    if found == wanted {
        return;
    }
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, format!("{before}{begin}{wanted}{end}{after}"))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    let different = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    panic!(
        "{path} is not what the code says. `UPDATE_DOCS=1 cargo test --test it docs` writes it anew. First difference: {different:#?}"
    );
}

#[test]
fn the_list_of_error_codes_is_that_of_the_code() {
    let mut table = String::from(
        "| Code | Decided | Status | Status under `application/json` | Meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for code in ErrorCode::ALL {
        let (phase, status, json) = (code.phase().as_str(), code.status(), code.json_status());
        writeln!(table, "| `{code}` | {phase} | {status} | {json} | {} |", code.description()).expect("a text");
    }
    hold("docs/errors.md", "error codes", &table);

    let mut table = String::from("| Code | Meaning |\n| --- | --- |\n");
    for code in UserErrorCode::ALL {
        writeln!(table, "| `{code}` | {} |", code.description()).expect("a text");
    }
    hold("docs/errors.md", "user error codes", &table);
}

/// Every setting as clap knows it.
fn settings() -> Command {
    let command = Command::new("settings");
    PrivatePostgresSettings::augment_args(Settings::augment_args(DatabaseUrls::augment_args(command)))
}

/// The environment variable of a setting; the rule of `tenantry::config`.
fn variable(id: &str) -> String {
    match id {
        "database_url" | "redis_url" => id.to_uppercase(),
        _ => format!("TENANTRY_{}", id.to_uppercase()),
    }
}

#[test]
fn the_list_of_settings_is_that_of_the_code() {
    let mut table = String::new();
    let mut heading = String::new();
    for arg in settings().get_arguments().filter(|arg| arg.get_id() != "help") {
        let id = arg.get_id().as_str();
        if let Some(now) = arg.get_help_heading().filter(|now| *now != heading) {
            heading = now.to_owned();
            writeln!(table, "\n**{heading}**\n\n| Flag | Variable | Default | Meaning |\n| --- | --- | --- | --- |")
                .expect("a text");
        }
        let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = match id {
            // They depend on the machine.
            "pool_size" => "4 for each core".to_owned(),
            "workers" => "one for each core".to_owned(),
            _ if default.concat().is_empty() => String::new(),
            _ => format!("`{}`", default.join(",")),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = if help.ends_with('.') { help } else { help + "." };
        writeln!(table, "| `--{}` | `{}` | {default} | {help} |", id.replace('_', "-"), variable(id)).expect("a text");
    }
    hold("docs/operations.md", "settings", &table);
}

/// Names of metrics: every one that the code counts is in the documents, and the other way round.
#[test]
fn the_metrics_are_those_of_the_code() {
    let mut counted = BTreeSet::new();
    for (_, text) in super::names::sources("src") {
        for literal in text.split('"').filter(|literal| literal.starts_with("tenantry_")) {
            let is_name = literal.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if is_name && !NO_METRICS.contains(&literal) {
                counted.insert(literal.to_owned());
            }
        }
    }
    let text = super::blocks::document("docs/operations.md").text;
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `tenantry_")?.split('`').next().map(|rest| format!("tenantry_{rest}")))
        .filter(|name| !NO_METRICS.contains(&name.as_str()))
        .collect();
    assert_eq!(told, counted, "left: docs/operations.md, right: src/");
}

/// Texts in the code that begin like a metric and are none: roles, channels.
const NO_METRICS: &[&str] = &[
    "tenantry_owner",
    "tenantry_migrate",
    "tenantry_app",
    "tenantry_platform",
    "tenantry_access",
    "tenantry_tenants",
    "tenantry_events",
    "tenantry_audit",
    "tenantry_sessions",
    "tenantry_proof",
    "tenantry_",
];
