//! A server as it runs in production: the binary, in a process of its own.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    app::{TestApp, keys},
    redis::TestRedis,
};

/// `tenantry serve`, gone with the test.
pub struct Server {
    child: Child,
    _folder: tempfile::TempDir,
    pub url: String,
    pub admin_url: String,
    http: reqwest::Client,
}

impl Server {
    /// Starts one on the database and with the secrets of this server.
    pub async fn start(beside: &TestApp, redis: Option<&TestRedis>, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command
            .arg("serve")
            .env_clear()
            .current_dir(folder.path())
            .env("DATABASE_URL", beside.database.url("tenantry_app"))
            .env("TENANTRY_LISTEN", "127.0.0.1:0")
            .env("TENANTRY_ADMIN_LISTEN", "127.0.0.1:0")
            .env("TENANTRY_LOG_FORMAT", "json")
            .env("TENANTRY_POOL_SIZE", "4")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a file"));
        let keys = keys();
        for (name, key) in [("TOKEN", keys.token), ("CURSOR", keys.cursor), ("COOKIE", keys.cookie)] {
            command.env(format!("TENANTRY_{name}_KEY"), key.to_base64().expose_secret());
        }
        command.envs(redis.map(|redis| ("REDIS_URL", redis.url())));
        command.envs(settings.iter().map(|(name, value)| (format!("TENANTRY_{name}"), *value)));
        // SAFETY: the one call between fork and exec is async-signal-safe. The tests run in a runtime of one thread each,
        // which ends with the test.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let mut child = command.spawn().expect("the binary");
        let deadline = Instant::now() + Duration::from_secs(60);
        let (api, admin) = loop {
            let text = fs::read_to_string(&log).expect("a log");
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let found = lines.filter_map(|line| addresses(&line)).next();
            if let Some(found) = found {
                break found;
            }
            assert!(child.try_wait().expect("a state").is_none(), "ended early:\n{text}");
            assert!(Instant::now() < deadline, "does not come up:\n{text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, _folder: folder, url: format!("http://{api}"), admin_url: format!("http://{admin}"), http }
    }

    /// Status and body of a question with this credential.
    pub async fn ask(&self, token: &str, tenant: &str, document: &str) -> (u16, Value) {
        let request = self.http.post(format!("{}/graphql", self.url)).bearer_auth(token).header("x-tenant", tenant);
        let response = request.json(&json!({ "query": document })).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.http.get(format!("{}/metrics", self.admin_url)).send().await.expect("an answer");
        let text = text.text().await.expect("a text");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until a metric has this value.
    pub async fn until(&self, name: &str, wanted: f64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.metric(name).await != Some(wanted) {
            assert!(Instant::now() < deadline, "{name} does not become {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Status and body of `/readyz`.
    pub async fn readyz(&self) -> (u16, Value) {
        let response = self.http.get(format!("{}/readyz", self.admin_url)).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }
}

fn addresses(line: &Value) -> Option<(String, String)> {
    let fields = line.get("fields").unwrap_or(line);
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    (fields.get("message")? == "serving").then(|| Some((text("api")?, text("admin")?)))?
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
