//! Log lines carry the request id, and traces reach a collector.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tenantry::telemetry::{self, Format, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tracing_subscriber::fmt::MakeWriter;

use super::{Answer, Server};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_log_line_is_json_and_names_its_request() {
    let lines = Lines::default();
    let settings = Settings { filter: "tenantry=debug".into(), format: Format::Json, ..Settings::default() };
    let (subscriber, _guard) = telemetry::subscriber(&settings, lines.clone()).unwrap();
    let _default = tracing::subscriber::set_default(subscriber);

    let server = Server::start().await;
    // Another test may be the first to reach a place that logs, at the moment at which this one begins to listen; then
    // the place is taken for unheard. After a first request all places are known, and asked once more.
    Answer::to(server.post("query First { hello }")).await;
    tracing::callsite::rebuild_interest_cache();
    let answer = Answer::to(server.post("query Logged { hello }")).await;
    let id = answer.header("x-request-id");

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let entry = entries.iter().find(|entry| entry["span"]["request.id"] == id);
    let entry = entry.unwrap_or_else(|| panic!("no line of request {id} in {text}"));
    assert_eq!(entry["message"], "answered");
    assert_eq!(entry["http.response.status_code"], 200);
    assert_eq!(entry["span"]["url.path"], "/graphql");
    assert_eq!(entry["span"]["graphql.outcome"], "ok");
    assert!(!text.contains("hello world") && !text.contains("{ hello }"), "{text}");
}

/// A collector: takes one POST after the other and hands on path and body.
async fn collector() -> (String, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let send = send.clone();
            tokio::spawn(async move {
                if let Some(export) = take(stream).await {
                    let _ = send.send(export);
                }
            });
        }
    });
    (url, received)
}

async fn take(mut stream: TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let body = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
        if bytes.len() >= end + 4 + length {
            break end + 4;
        }
    };
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.ok()?;
    let head = String::from_utf8_lossy(&bytes).into_owned();
    Some((head.lines().next()?.to_owned(), bytes.split_off(body)))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn the_span_of_a_request_reaches_the_collector() {
    let (url, mut exports) = collector().await;
    let settings = Settings { otlp_endpoint: Some(url.parse().unwrap()), filter: "off".into(), ..Settings::default() };
    let (subscriber, guard) = telemetry::subscriber(&settings, std::io::sink).unwrap();
    let default = tracing::subscriber::set_default(subscriber);

    let server = Server::start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = serde_json::json!({ "query": "query Traced { hello }", "operationName": "Traced" });
    let request = reqwest::Client::new().post(server.url("/graphql")).json(&body).header("traceparent", parent);
    assert_eq!(Answer::to(request).await.status, 200);
    drop(default);
    // Sends what is left, and waits for it; the collector runs on this thread's runtime meanwhile.
    tokio::task::spawn_blocking(move || drop(guard)).await.unwrap();

    let (line, export) = exports.recv().await.expect("an export");
    assert!(line.starts_with("POST /v1/traces"), "{line}");
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
    assert!(holds(&export, &trace), "the caller's trace goes on");
    for part in ["tenantry", "request.id", "0af7651916cd43dd8448eb211c80319c", "Traced", "/graphql"] {
        assert!(holds(&export, part.as_bytes()), "{part} is missing");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_the_reason() {
    let message = |settings: Settings| match telemetry::subscriber(&settings, std::io::sink) {
        Ok(_) => panic!("taken"),
        Err(error) => error.to_string(),
    };
    let endpoint = |url: &str| Some(url.parse().unwrap());
    assert!(message(Settings { filter: "a=b=c".into(), ..Settings::default() }).contains("a=b=c"));
    let secure = Settings { otlp_endpoint: endpoint("https://collector.example"), ..Settings::default() };
    assert!(message(secure).contains("http://"));
    let ratio = Settings { otlp_endpoint: endpoint("http://localhost"), trace_ratio: 2.0, ..Settings::default() };
    assert!(message(ratio).contains("between 0 and 1"));
    assert!("yaml".parse::<Format>().unwrap_err().to_string().contains("yaml"));
}
