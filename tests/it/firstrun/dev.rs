//! `tenantry dev` as a person runs it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

struct Dev {
    child: Child,
    folder: PathBuf,
}

impl Dev {
    fn command(folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.args(["dev", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]).args(args).current_dir(folder);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command
    }

    fn start(folder: &Path, args: &[&str]) -> Self {
        let out = fs::File::create(folder.join("out")).unwrap();
        let child = Self::command(folder, args).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        let mut dev = Self { child, folder: folder.to_owned() };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !dev.out().contains("Ctrl-C stops everything") {
            assert!(dev.child.try_wait().unwrap().is_none(), "ended early:\n{}", dev.out());
            assert!(Instant::now() < deadline, "does not come up:\n{}", dev.out());
            std::thread::sleep(Duration::from_millis(20));
        }
        dev
    }

    fn out(&self) -> String {
        fs::read_to_string(self.folder.join("out")).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.folder.join(".tenantry/dev.json")
    }

    fn running(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }

    fn signal(&mut self, signal: &str) -> ExitStatus {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that the server's user can reach.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn psql(url: &Value, sql: &str) -> bool {
    let output = Command::new("psql").args(["-XAtc", sql, url.as_str().unwrap()]).output().unwrap();
    output.status.success()
}

#[test]
fn printed_curl_works_and_dev_json_tells_the_same() {
    let folder = folder();
    let dev = Dev::start(folder.path(), &[]);
    let (out, running) = (dev.out(), dev.running());

    assert_eq!(fs::metadata(dev.file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(out.contains(running["endpoint"].as_str().unwrap()), "{out}");
    for person in running["sign_ins"].as_array().unwrap() {
        assert!(out.contains(person["password"].as_str().unwrap()), "{out}");
    }
    assert!(psql(&running["database_url"], "SELECT 1") && psql(&running["migrate_url"], "SELECT 1"));
    assert!(!psql(&running["database_url"], "CREATE TABLE t ()"), "the runtime login may change tables");

    let curl = &out[out.find("curl ").unwrap()..out.find("The same for scripts").unwrap()];
    let answer = Command::new("timeout").args(["20", "sh", "-c", curl]).output().unwrap();
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["data"]["tenant"]["slug"], running["tenants"][0]["slug"], "{answer}");
}

#[test]
fn second_instance_says_where_the_first_one_is_and_changes_nothing() {
    let folder = folder();
    let dev = Dev::start(folder.path(), &[]);
    for args in [&[][..], &["--reset"]] {
        let second = Dev::command(folder.path(), args).output().unwrap();
        let text = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(1), "{text}");
        assert!(text.contains(dev.running()["endpoint"].as_str().unwrap()), "{text}");
    }
    assert!(psql(&dev.running()["database_url"], "SELECT 1"));
}

#[test]
fn both_signals_stop_server_and_database() {
    let folder = folder();
    for signal in ["-INT", "-TERM"] {
        let mut dev = Dev::start(folder.path(), &[]);
        let running = dev.running();
        let status = dev.signal(signal);
        assert_eq!(status.code(), Some(0), "{}", dev.out());
        assert!(!psql(&running["database_url"], "SELECT 1"));
        assert!(!dev.file().exists());
        assert!(!folder.path().join(".tenantry/postgres/data/postmaster.pid").exists());
    }
}

#[test]
fn killed_instance_starts_again_with_the_same_secrets_and_reset_makes_new_ones() {
    let folder = folder();
    let mut first = Dev::start(folder.path(), &[]);
    let secrets = first.running()["sign_ins"].clone();
    first.signal("-KILL");

    let mut second = Dev::start(folder.path(), &[]);
    assert_eq!(second.running()["sign_ins"], secrets);
    second.signal("-TERM");

    let third = Dev::start(folder.path(), &["--reset"]);
    assert_ne!(third.running()["sign_ins"], secrets);
}

#[test]
fn taken_port_is_told_before_anything_is_made() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = Command::new(env!("CARGO_BIN_EXE_tenantry"))
        .args(["dev", "--listen", &address])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("another program listens at") && text.contains("--listen 127.0.0.1:"), "{text}");
    assert!(!folder.path().join(".tenantry/postgres/data").exists());
}
