//! GET, POST, and what other sites must not make a browser do.

use std::sync::atomic::Ordering;

use reqwest::{Client, Method};
use serde_json::json;

use super::{Answer, Server};

#[tokio::test]
async fn get_runs_a_query() {
    let server = Server::start().await;
    let url = server.url("/graphql?query=query($n:String){hello(name:$n)}&variables=%7B%22n%22%3A%22%C3%A9%22%7D");
    let answer = Answer::to(Client::new().get(url).header("apollo-require-preflight", "1")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["data"], json!({ "hello": "hello é" }));
}

#[tokio::test]
async fn get_never_runs_a_mutation() {
    let server = Server::start().await;
    let url = server.url("/graphql?query=mutation{count}");
    for accept in ["application/graphql-response+json", "application/json"] {
        let request = Client::new().get(&url).header("apollo-require-preflight", "1").header("accept", accept);
        let answer = Answer::to(request).await;
        assert_eq!(answer.verdict(), (405, "BAD_REQUEST"));
        assert_eq!(answer.header("allow"), "POST");
    }
    assert_eq!(server.service.gates.mutations.load(Ordering::SeqCst), 0);
    assert_eq!(Answer::to(server.post("mutation { count }")).await.body["data"], json!({ "count": 1 }));
}

#[tokio::test]
async fn a_get_that_any_page_could_send_is_refused() {
    let server = Server::start().await;
    let url = server.url("/graphql?query={hello}");
    let answer = Answer::to(Client::new().get(&url)).await;
    assert_eq!(answer.verdict(), (403, "CSRF_REJECTED"));
    let answer = Answer::to(Client::new().get(&url).header("apollo-require-preflight", "")).await;
    assert_eq!(answer.verdict(), (403, "CSRF_REJECTED"));
}

#[tokio::test]
async fn a_get_with_wrong_parameters_is_refused() {
    let server = Server::start().await;
    for query in ["", "query={hello}&query={hello}", "query={hello}&variables=[]", "query={hello}&extensions=7"] {
        let url = server.url(&format!("/graphql?{query}"));
        let answer = Answer::to(Client::new().get(url).header("apollo-require-preflight", "1")).await;
        assert_eq!(answer.verdict(), (400, "BAD_REQUEST"), "{query}");
    }
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let server = Server::start().await;
    let url = server.url("/graphql?query={hello}");
    let reply = Client::new().head(url).header("apollo-require-preflight", "1").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.text().await.unwrap(), "");
}

#[tokio::test]
async fn a_post_that_any_page_could_send_is_refused() {
    let server = Server::start().await;
    let body = r#"{"query":"mutation { count }"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request = Client::new().post(server.url("/graphql")).header("content-type", kind).body(body);
        assert_eq!(Answer::to(request).await.verdict(), (415, "CSRF_REJECTED"), "{kind}");
    }
    let bare = Client::new().post(server.url("/graphql")).body(body);
    assert_eq!(Answer::to(bare).await.verdict(), (415, "CSRF_REJECTED"), "no Content-Type");
    assert_eq!(server.service.gates.mutations.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn only_json_in_utf8_and_uncompressed() {
    let server = Server::start().await;
    let body = r#"{"query":"{ hello }"}"#;
    let post = |kind: &str| Client::new().post(server.url("/graphql")).header("content-type", kind).body(body);
    for kind in ["application/json", "application/json; charset=utf-8", "Application/Json;charset=\"UTF-8\""] {
        assert_eq!(Answer::to(post(kind)).await.status, 200, "{kind}");
    }
    for kind in ["application/json; charset=utf-16", "application/graphql", "application/xml", "nonsense"] {
        assert_eq!(Answer::to(post(kind)).await.verdict(), (415, "BAD_REQUEST"), "{kind}");
    }
    let zipped = post("application/json").header("content-encoding", "gzip");
    assert_eq!(Answer::to(zipped).await.verdict(), (415, "BAD_REQUEST"));
    let latin = Client::new().post(server.url("/graphql")).header("content-type", "application/json");
    let latin = latin.body(b"{\"query\":\"{ hello(name: \\\"\xe9\\\") }\"}".to_vec());
    assert_eq!(Answer::to(latin).await.verdict(), (400, "BAD_REQUEST"));
}

#[tokio::test]
async fn other_methods_are_405() {
    let server = Server::start().await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = Client::new().request(Method::from_bytes(method.as_bytes()).unwrap(), server.url("/graphql"));
        let answer = Answer::to(request).await;
        assert_eq!(answer.verdict(), (405, "BAD_REQUEST"), "{method}");
        assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    }
}

#[tokio::test]
async fn an_unknown_address_says_where_the_api_is() {
    let server = Server::start().await;
    let answer = Answer::to(Client::new().get(server.url("/nowhere"))).await;
    assert_eq!(answer.verdict(), (404, "BAD_REQUEST"));
    assert_eq!(answer.body["extensions"]["requestId"], answer.header("x-request-id"));
}
