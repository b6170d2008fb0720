//! Told to stop, the server finishes what is under way and takes nothing new.

use std::time::Duration;

use serde_json::json;
use tenantry::http::{router::Settings, server::Drained};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{Answer, Server, hurried};

#[tokio::test]
async fn a_request_under_way_is_answered() {
    let mut server = Server::start().await;
    let under_way = tokio::spawn(Answer::to(server.post("{ waits }")));
    server.service.gates.waiting.notified().await;

    server.tell_to_stop();
    // The address is free once the listener is gone, so a new connection shows when the server has stopped to listen.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.service.gates.open.notify_one();

    let answer = under_way.await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["data"], json!({ "waits": 1 }));
    assert_eq!(server.ended().await, Drained { cut: 0 });
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let mut server = Server::start().await;
    let client = reqwest::Client::new();
    let kept = client.post(server.url("/graphql")).json(&json!({ "query": "{ hello }" })).send().await.unwrap();
    assert_eq!(kept.status(), 200);
    kept.bytes().await.unwrap();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // Both are accepted: this one came after them.
    Answer::to(server.post("{ hello }")).await;

    server.tell_to_stop();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.ended()).await;
    assert_eq!(ended.unwrap(), Drained { cut: 0 });
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut_off() {
    let mut server = Server::with(Settings::default(), hurried()).await;
    let stuck = server.post("{ waits }").send();
    let stuck = tokio::spawn(stuck);
    server.service.gates.waiting.notified().await;

    server.tell_to_stop();
    assert_eq!(server.ended().await, Drained { cut: 1 });
    assert!(stuck.await.unwrap().is_err());
    server.service.gates.dropped.notified().await;
}
