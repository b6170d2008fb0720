//! A real PgBouncer for a test: a process of its own on a socket in a temporary folder, gone with the test.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

use super::{child, cluster::TestDatabase};

/// The PgBouncers of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One that carries prepared statements along: 1.21 or newer.
    Current,
    /// One that cannot: Debian 12 has 1.18.
    Old,
}

impl Version {
    fn fits(self, minor: u32) -> bool {
        (minor >= 21) == (self == Self::Current)
    }

    /// The program, if this machine has it: the distribution's, or the one that `bin/test` has built.
    pub fn program(self) -> Option<PathBuf> {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tenantry/tools/bin/pgbouncer");
        [built, "/usr/sbin/pgbouncer".into(), "/usr/bin/pgbouncer".into()]
            .into_iter()
            .find(|program| minor(program).is_some_and(|minor| self.fits(minor)))
    }
}

/// The `21` of "PgBouncer 1.21.0".
fn minor(program: &Path) -> Option<u32> {
    let told = Command::new(program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&told.stdout).strip_prefix("PgBouncer 1.")?.split('.').next()?.parse().ok()
}

/// A PgBouncer in front of the cluster of the tests.
pub struct TestPooler {
    folder: tempfile::TempDir,
    process: Child,
}

impl TestPooler {
    /// Starts one with these lines in its section `[pgbouncer]`; it answers when this returns.
    pub async fn start(version: Version, before: &TestDatabase, settings: &str) -> Self {
        let program = version.program();
        let program = program.unwrap_or_else(|| panic!("there is no {version:?} PgBouncer; `bin/test` sets it up"));
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        let at = folder.path();
        let ini = format!(
            "[databases]\n* = host={} port=5432\n\n[pgbouncer]\n{settings}\n\
             listen_addr =\nlisten_port = 5432\nunix_socket_dir = {at}\nauth_type = trust\nauth_file = {at}/users\n\
             logfile = {at}/log\npidfile =\n",
            before.socket().display(),
            at = at.display(),
        );
        fs::write(at.join("pgbouncer.ini"), ini).expect("a file");
        let users = ["tenantry", "tenantry_app", "tenantry_platform"].map(|role| format!("\"{role}\" \"\"\n"));
        fs::write(at.join("users"), users.concat()).expect("a file");
        let mut command = Command::new(program);
        command
            .arg("-q")
            .arg(at.join("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // It refuses to run as root, and has to reach the socket of PostgreSQL: as the same user.
        // SAFETY: a call without arguments that cannot fail.
        if unsafe { libc::geteuid() } == 0 {
            let socket = fs::metadata(before.socket()).expect("a folder");
            chown(at, Some(socket.uid()), Some(socket.gid())).expect("root may");
            command.uid(socket.uid()).gid(socket.gid());
        }
        let process = child::start(command).await.expect("it starts");
        let mut pooler = Self { folder, process };
        pooler.answers(before).await;
        pooler
    }

    async fn answers(&mut self, before: &TestDatabase) {
        let url = self.before(before).url("tenantry_app");
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err() {
            let ended = self.process.try_wait().expect("it was started");
            assert!(ended.is_none() && Instant::now() < deadline, "PgBouncer does not come up:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The database, reached through this pooler.
    pub fn before(&self, database: &TestDatabase) -> TestDatabase {
        database.through(self.folder.path())
    }
}

impl Drop for TestPooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
