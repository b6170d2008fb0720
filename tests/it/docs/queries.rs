//! Blocks of GraphQL run against a server with the demo data, as the demo API key of `acme` unless they say otherwise
//! (`as=anonymous`, `as=owner`); a block of JSON behind one is the answer. Lines with `curl` are run as they stand.

use std::{collections::HashMap, process::Stdio};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tenantry::app::demo;

use super::{
    blocks::{Block, blocks, documents},
    sessions::fits,
};
use crate::support::app::TestApp;

struct Demo {
    app: TestApp,
    key: String,
    /// E-mail address and password of the owner of `acme`.
    owner: (String, String),
}

async fn start() -> Demo {
    let app = TestApp::isolated().await;
    let next = std::sync::atomic::AtomicU32::new(1);
    let password = || {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        SecretString::from(format!("a long demo password, number {number}"))
    };
    let demo = demo::load(&app.app.services, password).await.expect("demo data");
    let (_, _, key) = demo.api_keys.iter().find(|(tenant, ..)| tenant == "acme").expect("a key of acme");
    let owner = demo.sign_ins.iter().find(|one| one.tenant == "acme" && one.role == "owner").expect("an owner");
    Demo {
        key: key.expose_secret().to_owned(),
        owner: (owner.email.clone(), owner.password.expose_secret().to_owned()),
        app,
    }
}

/// Whether the answer holds what is wanted. Texts may have `…`; `extensions` count only where they are wanted.
fn differs(at: &str, found: &Value, wanted: &Value) -> Option<String> {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            let unwanted = found.keys().find(|key| *key != "extensions" && !wanted.contains_key(*key));
            if let Some(key) = unwanted {
                return Some(format!("{at}.{key} is there"));
            }
            wanted.iter().find_map(|(key, wanted)| match found.get(key) {
                Some(found) => differs(&format!("{at}.{key}"), found, wanted),
                None => Some(format!("{at}.{key} is not there")),
            })
        }
        (Value::Array(found), Value::Array(wanted)) if found.len() == wanted.len() => {
            let pairs = found.iter().zip(wanted).enumerate();
            pairs.into_iter().find_map(|(index, (found, wanted))| differs(&format!("{at}[{index}]"), found, wanted))
        }
        (Value::String(found), Value::String(wanted)) if fits(found, wanted) => None,
        _ if found == wanted => None,
        _ => Some(format!("{at} is {found} and not {wanted}")),
    }
}

impl Demo {
    async fn token(&self) -> String {
        let document = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken userErrors { code } } }";
        let input = json!({ "input": { "email": self.owner.0, "password": self.owner.1 } });
        let reply = self.app.send("/graphql", &[], &json!({ "query": document, "variables": input })).await;
        reply.payload("signIn").at("/accessToken")
    }

    async fn ask(&self, block: &Block, text: &str) -> Value {
        let credential = match block.note("as") {
            Some("anonymous") => None,
            Some("owner") => Some(self.token().await),
            None => Some(self.key.clone()),
            Some(other) => panic!("{block}: nobody is called {other}"),
        };
        let bearer = credential.map(|credential| format!("Bearer {credential}"));
        let mut headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        if block.has("as=owner") {
            headers.push(("x-tenant", "acme"));
        }
        self.app.send("/graphql", &headers, &json!({ "query": text })).await.body
    }

    /// Ids that a document is to be filled with, and the password of the owner.
    async fn known(&self) -> HashMap<&'static str, String> {
        let body = json!({ "query": "{ projects(first: 1) { nodes { id } } tasks(first: 1) { nodes { id } } }" });
        let bearer = format!("Bearer {}", self.key);
        let reply = self.app.send("/graphql", &[("authorization", &bearer)], &body).await;
        let at = |pointer: &str| reply.data().pointer(pointer).and_then(Value::as_str).expect("an id").to_owned();
        HashMap::from([
            ("prj_…", at("/projects/nodes/0/id")),
            ("tsk_…", at("/tasks/nodes/0/id")),
            ("DEMO_PASSWORD", self.owner.1.clone()),
        ])
    }
}

#[tokio::test]
async fn every_query_is_answered_as_it_is_written() {
    let demo = start().await;
    let known = demo.known().await;
    let mut wrong = Vec::new();
    for document in documents() {
        let all = blocks(&document);
        for (at, block) in all.iter().enumerate().filter(|(_, block)| block.language == "graphql") {
            let text = known.iter().fold(block.text.clone(), |text, (name, value)| text.replace(name, value));
            let answer = demo.ask(block, &text).await;
            match all.get(at + 1).filter(|next| next.language == "json") {
                Some(wanted) => {
                    let wanted: Value =
                        serde_json::from_str(&wanted.text).unwrap_or_else(|error| panic!("{wanted}: {error}"));
                    if let Some(difference) = differs("", &answer, &wanted) {
                        wrong.push(format!("{block}: {difference}\n{answer:#}"));
                    }
                }
                None if answer.get("errors").is_some() => wrong.push(format!("{block}: {answer:#}")),
                None => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each `curl` of a document is a request that is answered with data, or with what the document says.
#[tokio::test(flavor = "multi_thread")]
async fn every_curl_line_works() {
    let demo = start().await;
    let lines = documents()
        .into_iter()
        .flat_map(|document| blocks(&document))
        .filter(|block| block.language == "bash" && block.note("run").is_none() && block.text.contains("curl "));
    for block in lines {
        // What runs already is not started again.
        let script = block.text.replace("http://127.0.0.1:8080", &demo.app.url);
        let script = script.replace("http://127.0.0.1:9090", &demo.app.admin_url);
        let done = tokio::process::Command::new("timeout")
            .args(["20", "bash", "-euo", "pipefail", "-c", &script])
            .env("DEMO_KEY", &demo.key)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("bash runs");
        assert!(done.status.success(), "{block}: {}", String::from_utf8_lossy(&done.stderr));
        let answer: Value = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
        assert!(answer["data"].is_object() && answer.get("errors").is_none(), "{block}: {answer:#}");
    }
}
