//! A real Redis for a test: a server of its own on a socket in a temporary folder, gone with the test.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

use super::child;

/// A Redis that can be killed and started again.
pub struct TestRedis {
    folder: tempfile::TempDir,
    server: Option<Child>,
}

impl TestRedis {
    /// Starts one; it answers when this returns.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        let mut redis = Self { folder, server: None };
        redis.start_again().await;
        redis
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Starts it where it was, empty.
    pub async fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(self.socket())
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let server = child::start(command).await;
        self.server = Some(server.unwrap_or_else(|error| panic!("redis-server (package redis-server): {error}")));
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.run::<String>(&["PING"]).await.as_deref() != Some("PONG") {
            assert!(Instant::now() < deadline, "Redis does not come up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it, in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("it runs");
            server.wait().expect("it ends");
        }
    }

    /// Runs a command; `None` if nobody answers, or with nothing.
    pub async fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> Option<T> {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let mut call = redis::cmd(command[0]);
        for part in &command[1..] {
            call.arg(*part);
        }
        call.query_async(&mut connection).await.ok()
    }

    /// Every key that it holds.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.run(&["KEYS", "*"]).await.expect("an answer");
        keys.sort();
        keys
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}
