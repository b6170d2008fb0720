//! One private PostgreSQL per test process, and databases in it.
//!
//! It is started by the first test that asks and deleted when the process exits, also after a failed test. A killed
//! process takes its server along (the kernel sees to it); its folder is deleted by the next run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tenantry::db::embedded::{self, Cluster, ClusterOptions, InstanceLock};

const PREFIX: &str = "tenantry-test-";

static SHARED: OnceLock<Cluster> = OnceLock::new();

/// The cluster of this test process.
pub fn shared() -> &'static Cluster {
    SHARED.get_or_init(|| {
        delete_leftovers();
        let cluster = Cluster::start(options(&folder())).unwrap_or_else(|error| panic!("{error}"));
        // SAFETY: the function is `extern "C"` and does not unwind; libtest leaves by `exit`, which calls it.
        unsafe { libc::atexit(stop_shared) };
        cluster
    })
}

/// Options for a cluster that nobody will miss.
pub fn options(folder: &Path) -> ClusterOptions {
    ClusterOptions {
        durable: false,
        programs_dir: env::var_os("TENANTRY_POSTGRES_PROGRAMS").map(PathBuf::from),
        ..ClusterOptions::new(folder)
    }
}

fn folder() -> PathBuf {
    env::temp_dir().join(format!("{PREFIX}{}", std::process::id()))
}

extern "C" fn stop_shared() {
    let Some(cluster) = SHARED.get() else { return };
    cluster.stop();
    // The lock of this process is still held; deleting needs no second one.
    delete(&folder(), cluster.lock());
}

/// Deletes the folders of test processes that were killed.
fn delete_leftovers() {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        let leftover = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Whoever still runs holds the lock. What belongs to another user stays.
        if leftover && let Ok(lock) = InstanceLock::acquire(&entry.path()) {
            delete(&entry.path(), &lock);
        }
    }
}

fn delete(folder: &Path, lock: &InstanceLock) {
    if let Err(error) = embedded::delete(lock) {
        eprintln!("{error}");
    }
    let _ = fs::remove_dir_all(folder);
}

/// A database of its own for one test.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its name in its cluster.
    pub name: String,
    /// Its URL for the role `ROLE`: a cluster may go and come again, its address stays.
    template: String,
}

impl TestDatabase {
    /// A database of this cluster.
    pub fn of(cluster: &Cluster, name: String) -> Self {
        Self { template: cluster.url("ROLE", &name), name }
    }

    /// A database that somebody else runs; `ROLE` in its URL stands for the role.
    pub fn elsewhere(template: &str) -> Self {
        Self { template: template.to_owned(), name: template.rsplit('/').next().unwrap_or_default().to_owned() }
    }

    /// The same database, reached through this folder's socket.
    pub fn through(&self, folder: &Path) -> Self {
        let folder = folder.display().to_string().replace('/', "%2F");
        Self { template: format!("postgres://ROLE@{folder}/{}", self.name), name: self.name.clone() }
    }

    /// The folder of the socket at which PostgreSQL listens.
    pub fn socket(&self) -> PathBuf {
        let config: tokio_postgres::Config = self.url("tenantry_app").parse().expect("a URL of ours");
        match config.get_hosts() {
            [tokio_postgres::config::Host::Unix(folder)] => folder.clone(),
            other => panic!("no socket: {other:?}"),
        }
    }

    /// The URL of this database for this role.
    pub fn url(&self, role: &str) -> String {
        self.template.replacen("//ROLE", &format!("//{role}"), 1)
    }
}

/// A fresh, empty database that the superuser owns.
pub async fn empty_database() -> TestDatabase {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    shared().create_database(&name, embedded::SUPERUSER).await.unwrap_or_else(|error| panic!("{error}"));
    TestDatabase::of(shared(), name)
}
