//! The commands of the binary: what they print, and the code they exit with.

use std::{
    collections::HashSet,
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use tenantry::{config::Key32, db::embedded::SUPERUSER};

use crate::support::{cluster, database};

/// The binary, away from the settings of whoever runs the tests.
fn tenantry(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(args).env_clear().current_dir("/").stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn generated_keys_are_three_different_ones() {
    let (code, out, _) = output(&mut tenantry(&["keys", "generate"]));
    assert_eq!(code, Some(0));
    let lines: Vec<(&str, &str)> = out.lines().filter_map(|line| line.split_once('=')).collect();
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["TENANTRY_TOKEN_KEY", "TENANTRY_CURSOR_KEY", "TENANTRY_COOKIE_KEY"]);
    let keys: HashSet<[u8; 32]> = lines.iter().map(|(_, key)| *key.parse::<Key32>().unwrap().expose()).collect();
    assert_eq!(keys.len(), 3);
}

#[test]
fn wrong_use_exits_with_2_and_help_with_0() {
    for (args, wanted) in [(&["--help"][..], 0), (&["--version"], 0), (&["elephant"], 2), (&[], 2), (&["keys"], 2)] {
        let (code, ..) = output(&mut tenantry(args));
        assert_eq!(code, Some(wanted), "{args:?}");
    }
    let (code, _, err) = output(tenantry(&["keys", "generate"]).env("TENANTRY_ELEPHANT", "grey"));
    assert_eq!(code, Some(2));
    assert!(err.starts_with("error: the environment variable TENANTRY_ELEPHANT"), "{err}");
}

#[test]
fn settings_file_of_the_current_folder_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenantry.toml"), "elephant = 1").unwrap();
    let (code, _, err) = output(tenantry(&["keys", "generate"]).current_dir(folder.path()));
    assert_eq!(code, Some(2));
    assert!(err.contains("the key `elephant`"), "{err}");
}

#[tokio::test]
async fn migrations_go_up_and_their_status_is_told() {
    let database = cluster::empty_database().await;
    let url = database.url(SUPERUSER);
    let migrate = |args: &[&str]| output(tenantry(args).env("TENANTRY_MIGRATE_URL", &url));

    let (code, out, err) = migrate(&["migrate", "status"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(out.starts_with("pending 00000000000000_roles\n"), "{out}");
    let (code, out, err) = migrate(&["migrate", "up"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("applied 00000000000000_roles\n"), "{out}");
    assert_eq!(migrate(&["migrate", "up"]).1, "The database is up to date.\n");
    assert_eq!(migrate(&["migrate", "status"]).0, Some(0));
    assert!(migrate(&["migrate", "down"]).1.starts_with("taken back "));
    assert_eq!(migrate(&["migrate", "status"]).0, Some(1));
}

#[tokio::test]
async fn dba_runs_the_printed_roles_and_the_migration_login_does_the_rest() {
    let database = cluster::empty_database().await;
    let (_, sql, _) = output(&mut tenantry(&["migrate", "roles"]));
    for _ in 0..2 {
        // A second run changes nothing.
        let mut psql = Command::new("psql")
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", &database.url(SUPERUSER)])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success());
    }
    let url = database.url("tenantry_migrate");
    let (code, _, err) = output(tenantry(&["migrate", "up"]).env("TENANTRY_MIGRATE_URL", &url));
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn missing_and_unreachable_databases_are_told_with_the_next_step() {
    let (code, _, err) = output(&mut tenantry(&["migrate", "up"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("TENANTRY_MIGRATE_URL is not set"), "{err}");

    let url = "postgres://tenantry_migrate:s3cret@127.0.0.1:1/nowhere";
    let (code, _, err) = output(tenantry(&["migrate", "up"]).env("TENANTRY_MIGRATE_URL", url));
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot be reached") && !err.contains("s3cret"), "{err}");
}

#[tokio::test]
async fn copied_database_is_migrated() {
    let database = database::migrated().await;
    let url = database.url("tenantry_app");
    let (code, out, err) = output(tenantry(&["migrate", "status"]).env("TENANTRY_MIGRATE_URL", url));
    assert_eq!(code, Some(0), "{out}{err}");
}
