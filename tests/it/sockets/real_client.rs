//! The client that people use: graphql-ws from npm, run by Node.js.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{TASKS, listening};
use crate::support::{
    app::{TestApp, TestUser},
    process::ServerProcess,
};

struct Client {
    _child: Child,
    say: ChildStdin,
    hear: Lines<BufReader<ChildStdout>>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/sockets/client")
}

impl Client {
    async fn start(app: &TestApp, user: &TestUser) -> Self {
        let modules = folder().join("node_modules/graphql-ws");
        assert!(modules.exists(), "graphql-ws is not installed: run `npm ci` in {}", folder().display());
        let settings = json!({
            "url": format!("{}/graphql/ws", app.url.replace("http://", "ws://")),
            "authorization": format!("Bearer {}", user.token),
            "tenant": user.tenant,
            "query": TASKS,
        });
        let mut child = Command::new("node")
            .arg("client.mjs")
            .arg(settings.to_string())
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js 20 or newer is installed");
        let say = child.stdin.take().expect("it was asked for");
        let hear = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        Self { _child: child, say, hear }
    }

    async fn say(&mut self, word: &str) {
        self.say.write_all(format!("{word}\n").as_bytes()).await.expect("it listens");
    }

    async fn hear(&mut self) -> Value {
        let line =
            tokio::time::timeout(Duration::from_secs(30), self.hear.next_line()).await.expect("it says something");
        serde_json::from_str(&line.expect("a text").expect("it lives")).expect("JSON")
    }

    async fn title(&mut self) -> String {
        let heard = self.hear().await;
        let title = &heard["next"]["data"]["taskChanged"]["task"]["title"];
        title.as_str().unwrap_or_else(|| panic!("{heard:#}")).to_owned()
    }
}

#[tokio::test]
async fn the_client_from_npm_subscribes_breaks_off_and_resumes() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let mut client = Client::start(&app, &tenant.owner).await;
    assert_eq!(client.hear().await, json!({ "connected": true }));
    listening(&tenant, 1).await;
    tenant.task(&project, "First").await;
    assert_eq!(client.title().await, "First");

    client.say("drop").await;
    assert_eq!(client.hear().await["closed"], 1006);
    for title in ["Second", "Third"] {
        tenant.task(&project, title).await;
    }
    assert_eq!(client.hear().await, json!({ "connected": true }));
    assert_eq!(client.title().await, "Second");
    assert_eq!(client.title().await, "Third");

    client.say("query").await;
    let heard = client.hear().await;
    assert!(heard["error"][0]["message"].as_str().is_some_and(|message| message.contains("POST")), "{heard:#}");
    client.say("end").await;
    assert_eq!(client.hear().await, json!({ "complete": true }));
    listening(&tenant, 0).await;
}

#[tokio::test]
async fn the_client_from_npm_understands_why_it_is_closed() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let mut client = Client::start(&app, &tenant.owner.with_token("nonsense")).await;
    assert_eq!(client.hear().await["closed"], 4401);
    assert_eq!(client.hear().await["error"]["code"], 4401, "it gives up");

    // A server that goes away is one to come back to: the client goes on with another one behind the same address.
    let process = ServerProcess::start(&app.database, &[]).await;
    let there = process.of(&app);
    let mut client = Client::start(&there, &tenant.owner).await;
    assert_eq!(client.hear().await, json!({ "connected": true }));
    process.terminate();
    assert_eq!(client.hear().await["closed"], 1001);
}
