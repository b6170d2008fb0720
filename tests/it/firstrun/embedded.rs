//! The private PostgreSQL: it ends with its parent, and whatever a kill leaves behind starts again.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tenantry::db::embedded::{self, Cluster, EmbeddedError, InstanceLock, SUPERUSER};
use tokio_postgres::NoTls;

use crate::support::cluster;

/// The user `nobody` of Debian and Ubuntu.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A folder under /tmp that every user can pass through.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

async fn one(url: &str, sql: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Not a test of its own: the others run it as a process that they can kill.
#[test]
#[ignore = "run by the other tests as a process of its own"]
fn keeps_a_cluster_until_it_is_killed() {
    let Some(folder) = env::var_os("KEEP_CLUSTER_IN") else { return };
    let cluster = Cluster::start(cluster::options(Path::new(&folder))).unwrap();
    cluster.announce("http://127.0.0.1:4711/graphql").unwrap();
    println!("ready {}", cluster.process_id());
    loop {
        std::thread::park();
    }
}

/// A process that keeps a cluster, and the process id of its server.
fn keeper(folder: &Path, user: Option<u32>) -> (Child, u32) {
    // The link is followed after the change of user; the folders above the test binary may be closed to that user.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--ignored", "--exact", "--nocapture", "firstrun::embedded::keeps_a_cluster_until_it_is_killed"]);
    command.env("KEEP_CLUSTER_IN", folder).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let mut child = command.spawn().unwrap();
    let ready = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("ready ").and_then(|(_, pid)| pid.trim().parse().ok()));
    (child, ready.expect("the keeper started its cluster"))
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runs(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}/cwd")).read_link().is_ok()
}

#[tokio::test]
async fn data_survives_a_stop_and_a_start() {
    let folder = folder();
    let first = Cluster::start(cluster::options(folder.path())).unwrap();
    first.run_as_superuser("postgres", "CREATE ROLE owner NOLOGIN; CREATE ROLE \"odd/role\" LOGIN").await.unwrap();
    assert!(first.create_database("kept", "owner").await.unwrap());
    assert!(!first.create_database("kept", "owner").await.unwrap());
    first.stop();
    assert!(!first.is_running());
    drop(first);

    let second = Cluster::start(cluster::options(folder.path())).unwrap();

    assert_eq!(
        one(&second.url("odd/role", "kept"), "SELECT current_user || '@' || current_database()").await,
        "odd/role@kept"
    );
    assert_eq!(one(&second.url(SUPERUSER, "kept"), "SHOW listen_addresses").await, "");
}

#[tokio::test]
async fn psql_understands_the_url() {
    let database = cluster::empty_database().await;
    let output = Command::new("psql").args([&database.url(SUPERUSER), "-XAtc", "SELECT current_database()"]).output();
    let output = output.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), database.name, "{output:?}");
}

#[tokio::test]
async fn server_ends_with_a_killed_parent_and_its_folder_starts_again() {
    let folder = folder();
    let (mut parent, server) = keeper(folder.path(), None);
    parent.kill().unwrap();
    parent.wait().unwrap();

    // At once: the old server may still be writing its last checkpoint.
    let cluster = Cluster::start(cluster::options(folder.path())).unwrap();

    assert!(!runs(server));
    assert_eq!(one(&cluster.url(SUPERUSER, "postgres"), "SELECT 'here'").await, "here");
}

#[test]
fn server_ends_with_a_killed_parent_without_anybody_starting_again() {
    let folder = folder();
    let (mut parent, server) = keeper(folder.path(), None);
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for("the end of the server", || !runs(server));
}

#[test]
fn killed_server_leaves_a_folder_that_starts_again() {
    let folder = folder();
    let (mut parent, server) = keeper(folder.path(), None);
    // First the server, so that it cannot shut down in order, then its parent.
    assert!(Command::new("kill").args(["-KILL", &server.to_string()]).status().unwrap().success());
    parent.kill().unwrap();
    parent.wait().unwrap();

    assert!(folder.path().join("data/postmaster.pid").exists());
    let cluster = Cluster::start(cluster::options(folder.path())).unwrap();
    assert!(cluster.is_running());
}

#[test]
fn stale_process_id_that_now_belongs_to_another_process_does_not_stop_a_start() {
    let folder = folder();
    drop(Cluster::start(cluster::options(folder.path())).unwrap());
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let file = folder.path().join("data/postmaster.pid");
    fs::write(&file, format!("{}\n{}\n0\n5432\n\n\n", other.id(), folder.path().join("data").display())).unwrap();
    let data = fs::metadata(folder.path().join("data")).unwrap();
    std::os::unix::fs::chown(&file, Some(data.uid()), Some(data.gid())).unwrap();

    let started = Cluster::start(cluster::options(folder.path()));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(started.unwrap().is_running());
}

#[test]
fn interrupted_creation_is_made_anew() {
    let folder = folder();
    fs::create_dir(folder.path().join("data.new")).unwrap();
    fs::write(folder.path().join("data.new/PG_VERSION"), "15\n").unwrap();
    assert!(Cluster::start(cluster::options(folder.path())).unwrap().is_running());
}

#[test]
fn second_instance_is_told_where_the_first_one_is() {
    let folder = folder();
    let (mut parent, _) = keeper(folder.path(), None);
    let error = InstanceLock::acquire(folder.path()).unwrap_err();
    let text = error.to_string();
    let pid = parent.id();
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(matches!(error, EmbeddedError::AlreadyRunning { .. }));
    assert!(text.contains("running at http://127.0.0.1:4711/graphql"), "{text}");
    assert!(text.contains(&format!("kill {pid}")), "{text}");
}

#[test]
fn plain_user_needs_no_root() {
    let folder = folder();
    let home = folder.path().join("home");
    if !is_root() {
        return; // Every other test shows it then.
    }
    let (mut parent, server) = keeper(&home, Some(NOBODY));
    let owner = fs::metadata(format!("/proc/{server}")).unwrap().uid();
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for("the end of the server", || !runs(server));
    assert_eq!(owner, NOBODY);
    // Later as root: the server runs as the owner of its data.
    let cluster = Cluster::start(cluster::options(&home)).unwrap();
    assert_eq!(fs::metadata(format!("/proc/{}", cluster.process_id())).unwrap().uid(), NOBODY);
}

#[test]
fn root_falls_back_when_the_servers_user_cannot_reach_the_folder() {
    if !is_root() {
        return; // Only root changes its user.
    }
    let outer = folder();
    fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let home = outer.path().join("home");
    let cluster = Cluster::start(cluster::options(&home)).unwrap();
    let notices = cluster.notices().join(" ");
    drop(cluster);
    let lock = InstanceLock::acquire(&home).unwrap();
    embedded::delete(&lock).unwrap();
    assert!(notices.contains("/var/lib/tenantry/") && notices.contains(&home.display().to_string()), "{notices}");
    let kept = notices.split_whitespace().find(|word| word.starts_with("/var/lib/tenantry/")).unwrap();
    assert!(!Path::new(kept.trim_end_matches(':')).exists(), "{kept} is still there");
}

#[tokio::test]
async fn folder_with_a_long_name_gets_a_short_socket_folder() {
    let outer = folder();
    let home = outer.path().join("a".repeat(120));
    let cluster = Cluster::start(cluster::options(&home)).unwrap();
    assert!(cluster.notices().join(" ").contains("107 bytes"), "{:?}", cluster.notices());
    assert_eq!(one(&cluster.url(SUPERUSER, "postgres"), "SELECT 'here'").await, "here");
    drop(cluster);
    embedded::delete(&InstanceLock::acquire(&home).unwrap()).unwrap();
}

#[test]
fn data_of_another_version_is_named_and_left_alone() {
    let folder = folder();
    drop(Cluster::start(cluster::options(folder.path())).unwrap());
    let file = folder.path().join("data/PG_VERSION");
    fs::write(&file, "9\n").unwrap();
    let text = Cluster::start(cluster::options(folder.path())).unwrap_err().to_string();
    assert!(text.contains("PostgreSQL 9") && text.contains("--reset"), "{text}");
    assert!(folder.path().join("data/base").exists());
}

#[test]
fn early_end_shows_the_end_of_the_log() {
    let folder = folder();
    drop(Cluster::start(cluster::options(folder.path())).unwrap());
    fs::write(folder.path().join("data/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let text = Cluster::start(cluster::options(folder.path())).unwrap_err().to_string();
    assert!(text.contains("no_such_setting") && text.contains("postgres.log"), "{text}");
}

#[test]
fn thread_that_starts_a_cluster_may_end() {
    let folder = folder();
    let path = folder.path().to_owned();
    let cluster = std::thread::spawn(move || Cluster::start(cluster::options(&path)).unwrap()).join().unwrap();
    // A signal for the end of the thread would be on its way within this time.
    std::thread::sleep(Duration::from_millis(100));
    assert!(cluster.is_running());
}
