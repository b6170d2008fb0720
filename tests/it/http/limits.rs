//! A request is bounded in size and time, and its failure is its own.

use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use tenantry::http::{endpoint::Limits, router::Settings, server::Times};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Answer, Server};

async fn limited(limits: Limits) -> Server {
    Server::with(Settings { limits, ..Settings::default() }, Times::default()).await
}

fn small() -> Limits {
    Limits { max_body_bytes: 1000, ..Limits::default() }
}

fn brief() -> Limits {
    Limits { deadline: Duration::from_millis(200), ..Limits::default() }
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let server = limited(small()).await;
    let frame = json!({ "query": "{ hello }", "extensions": { "x": "" } }).to_string().len();
    for (length, status) in [(1000, 200), (1001, 413), (3000, 413), (1_000_000, 413)] {
        let padding = "x".repeat(length - frame);
        let body = json!({ "query": "{ hello }", "extensions": { "x": padding } });
        let answer = Answer::to(Client::new().post(server.url("/graphql")).json(&body)).await;
        assert_eq!(answer.status, status, "{length}");
        assert_eq!(answer.code(), if status == 413 { "PAYLOAD_TOO_LARGE" } else { "" });
    }
}

#[tokio::test]
async fn a_body_without_an_announced_length_is_counted() {
    let server = limited(small()).await;
    let chunk = "x".repeat(0x500);
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n500\r\n{chunk}\r\n0\r\n\r\n"
    );
    let answer = server.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_stopped() {
    let server = limited(brief()).await;
    for (accept, status) in [("application/graphql-response+json", 504), ("application/json", 200)] {
        let answer = Answer::to(server.post("query Slow { waits }").header("accept", accept)).await;
        assert_eq!(answer.verdict(), (status, "TIMEOUT"));
        assert!(answer.body.get("data").is_none());
        server.service.gates.dropped.notified().await;
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let server = limited(brief()).await;
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = server.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("TIMEOUT"), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let times = Times { head: Duration::from_millis(100), ..Times::default() };
    let server = Server::with(Settings::default(), times).await;
    server.raw("POST /graphql HTTP/1.1\r\nhost:").await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = Server::start().await;
    let many = (0..200).map(|number| format!("x-{number}: x\r\n")).collect::<String>();
    let answer = server.raw(&format!("GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = "x".repeat(70_000);
    let answer = server.raw(&format!("GET /{long} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[tokio::test]
async fn a_panic_is_one_failed_request() {
    let server = Server::start().await;
    for query in ["{ panics }", "{ panicBeforeTheEngine }"] {
        let request = Client::new().post(server.url("/graphql")).json(&json!({ "query": query }));
        let (panicked, answered) = tokio::join!(Answer::to(request), Answer::to(server.post("{ hello }")));
        assert_eq!(panicked.verdict(), (500, "INTERNAL"), "{query}");
        assert_eq!(panicked.body["extensions"]["requestId"], panicked.header("x-request-id"));
        assert!(!panicked.body.to_string().contains("secret detail"), "{}", panicked.body);
        assert_eq!(answered.status, 200);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_drops_its_request() {
    let server = Server::start().await;
    let body = r#"{"query":"{ waits }"}"#;
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length:";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    server.service.gates.waiting.notified().await;
    drop(stream);
    server.service.gates.dropped.notified().await;
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = Server::start().await;
    let body = r#"{"query":"{ hello }"}"#;
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length:";
    let request = format!("{head} {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
}
