//! Servers as they run in production: the binary, `serve`, a process each, on a database of the tests.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use secrecy::ExposeSecret;

use super::{
    app::{TestApp, keys},
    cluster::TestDatabase,
};

/// A running `tenantry serve`; it is killed when this is dropped.
pub struct ServerProcess {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// Where health and metrics listen.
    pub admin_url: String,
    log: Arc<Mutex<String>>,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tenantry serve` on this database, on free ports, with the secrets of all servers under test.
pub fn serve(database: &TestDatabase, variables: &[(&str, &str)]) -> Command {
    let keys = keys();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command
        .args(["serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--pool-size=4"])
        .env_clear()
        .env("DATABASE_URL", database.url("tenantry_app"))
        .env("TENANTRY_PLATFORM_URL", database.url("tenantry_platform"))
        .env("TENANTRY_TOKEN_KEY", keys.token.to_base64().expose_secret())
        .env("TENANTRY_CURSOR_KEY", keys.cursor.to_base64().expose_secret())
        .env("TENANTRY_COOKIE_KEY", keys.cookie.to_base64().expose_secret())
        .envs(variables.iter().copied())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The addresses of the API and of health and metrics, in the line that tells them, as text or as JSON.
fn addresses(line: &str) -> Option<(String, String)> {
    if let Some((_, rest)) = line.split_once("serving api=") {
        return rest.split_once(" admin=").map(|(api, admin)| (api.to_owned(), admin.to_owned()));
    }
    let line: serde_json::Value =
        serde_json::from_str(line).ok().filter(|line: &serde_json::Value| line["message"] == "serving")?;
    Some((line["api"].as_str()?.to_owned(), line["admin"].as_str()?.to_owned()))
}

impl ServerProcess {
    /// Starts a server and waits until it serves.
    pub async fn start(database: &TestDatabase, variables: &[(&str, &str)]) -> Self {
        let mut child = serve(database, variables).spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("it was asked for");
        let (found, told) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(addresses) = addresses(&line) {
                    let _ = found.send(addresses);
                }
                let mut log = kept.lock().expect("nobody panics");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let wait = move || told.recv_timeout(Duration::from_secs(60)).ok();
        let addresses = tokio::task::spawn_blocking(wait).await.expect("no panic");
        let Some((api, admin)) = addresses else {
            panic!("it does not serve:\n{}", log.lock().expect("nobody panics"))
        };
        Self { child, url: format!("http://{api}"), admin_url: format!("http://{admin}"), log }
    }

    /// Starts a server that must end by itself: its exit code, and what it said.
    pub async fn refused(database: &TestDatabase, variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = serve(database, variables);
        let done = tokio::task::spawn_blocking(move || command.output().expect("the binary starts"));
        let done = done.await.expect("no panic");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    /// The same tenants and people, spoken to through this process.
    pub fn of(&self, app: &TestApp) -> TestApp {
        app.through(&self.url, &self.admin_url)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("nobody panics").clone()
    }

    /// Tells it to stop.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
    }

    /// Its exit code, once it has ended by itself.
    pub async fn ended(mut self) -> Option<i32> {
        tokio::task::spawn_blocking(move || self.child.wait().expect("it was started").code()).await.expect("no panic")
    }
}
