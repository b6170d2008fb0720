//! What the documents name exists: files, headings, tests, functions, tables.

use std::{collections::HashSet, fs, path::Path};

use super::blocks::{Document, documents, prose, root};

/// The files of a folder with these texts; Rust and SQL only.
pub fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found
}

fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.strip_prefix(root()).expect("under the root").display().to_string();
            found.push((name, text));
        }
    }
}

/// The texts between single backquotes, outside of blocks.
fn spans(document: &Document) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in prose(document).lines().enumerate() {
        found.extend(line.split('`').skip(1).step_by(2).map(|span| (index + 1, span.to_owned())));
    }
    found
}

/// The anchor of a heading, as code hosts make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        let here = root().join(&document.path);
        for (index, line) in prose(&document).lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if target.starts_with("https://") {
                    continue;
                }
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let file = if file.is_empty() { here.clone() } else { here.with_file_name("").join(file) };
                let text = fs::read_to_string(&file).unwrap_or_default();
                let is_there = file.exists()
                    && (heading.is_empty()
                        || text.lines().any(|line| line.starts_with('#') && anchor(line) == heading));
                if !is_there {
                    wrong.push(format!("{}:{}: {target}", document.path, index + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `src/db/scope.rs`, `bin/dev`, `tests/it/…`: a path in backquotes is there. `file.rs::name` names a test or function in it.
#[test]
fn every_path_and_every_test_exists() {
    let mut wrong = Vec::new();
    for document in documents() {
        for (line, span) in spans(&document) {
            let (path, item) = span.split_once("::").map_or((span.as_str(), None), |(path, item)| (path, Some(item)));
            let roots = ["src/", "bin/", "tests/", "docs/", "migrations/", "web/", "bench/", ".ci/"];
            // What a reader is to put a name into is no path, nor is a command.
            if !roots.iter().any(|root| path.starts_with(root)) || path.contains(['<', '…', '*', ' ', '{']) {
                continue;
            }
            let file = root().join(path);
            let text = fs::read_to_string(&file).unwrap_or_default();
            let has_item = item.is_none_or(|item| {
                ["fn", "mod", "struct", "enum", "trait", "const"].iter().any(|kind| {
                    text.match_indices(&format!("{kind} {item}")).any(|(at, found)| {
                        text[at + found.len()..].starts_with(|c: char| !c.is_alphanumeric() && c != '_')
                    })
                })
            });
            if !file.exists() || !has_item {
                wrong.push(format!("{}:{line}: {span}", document.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `app.enrol_table`: a function of the schema `app` in backquotes is made by a migration.
#[test]
fn every_function_of_the_database_exists() {
    let made: HashSet<String> = sources("migrations")
        .iter()
        .flat_map(|(_, text)| {
            text.split("CREATE FUNCTION ")
                .skip(1)
                .filter_map(|rest| rest.split('(').next().map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect();
    let settings = ["app.tenant_id", "app.user_id", "app.actor_id", "app.request_id"];
    for document in documents() {
        for (line, span) in spans(&document) {
            let Some(name) = span.strip_prefix("app.") else { continue };
            let name: String =
                name.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_' || c.is_ascii_digit()).collect();
            let name = format!("app.{name}");
            let known = made.contains(&name) || settings.contains(&name.as_str());
            assert!(known || name == "app.", "{}:{line}: {span}", document.path);
        }
    }
}

/// What somebody is to read must not name where it was written.
#[test]
fn no_machine_is_named() {
    for document in documents() {
        for (index, line) in document.text.lines().enumerate() {
            for word in ["/root/", "/home/", "localhost:54", "TODO", "FIXME"] {
                assert!(!line.contains(word), "{}:{}: {line}", document.path, index + 1);
            }
        }
    }
}
