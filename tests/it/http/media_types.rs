//! GraphQL over HTTP: which media type, which status, which body.

use serde_json::{Value, json};

use super::{Answer, Server};

const PREFERRED: &str = "application/graphql-response+json";
const LEGACY: &str = "application/json";
const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";

#[tokio::test]
async fn the_answer_comes_in_the_type_that_was_asked_for() {
    let server = Server::start().await;
    for (accept, expected) in [
        (None, PREFERRED),
        (Some("*/*"), PREFERRED),
        (Some(PREFERRED), PREFERRED),
        (Some(LEGACY), LEGACY),
        (Some("application/graphql-response+json, application/json;q=0.9"), PREFERRED),
        (Some("application/graphql-response+json;q=0.4, application/json;q=0.9"), LEGACY),
        (Some("application/json, text/plain, */*"), LEGACY),
    ] {
        let mut request = server.post("{ hello }");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 200, "{accept:?}");
        assert_eq!(answer.header("content-type"), format!("{expected}; charset=utf-8"), "{accept:?}");
        assert_eq!(answer.body["data"], json!({ "hello": "hello world" }));
    }
}

#[tokio::test]
async fn without_accept_the_preferred_type_is_sent() {
    let server = Server::start().await;
    let body = r#"{"query":"{ hello }"}"#;
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = server.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/graphql-response+json; charset=utf-8"), "{answer}");
}

#[tokio::test]
async fn neither_type_acceptable_is_406_and_nothing_runs() {
    let server = Server::start().await;
    let answer = Answer::to(server.post("{ hello }").header("accept", "text/html, image/*")).await;
    assert_eq!(answer.verdict(), (406, "BAD_REQUEST"));
    assert!(server.service.seen.lock().unwrap().is_empty());
}

/// Request, status under the preferred type, status under the legacy type, code.
#[tokio::test]
async fn statuses_by_media_type() {
    let server = Server::start().await;
    let table = [
        (json!({ "query": "{ hello }" }), 200, 200, ""),
        (json!({ "query": "{" }), 400, 200, "GRAPHQL_PARSE_FAILED"),
        (json!({ "query": "{ unknown }" }), 400, 200, INVALID),
        (json!({ "query": "query A { hello } query B { hello }" }), 400, 200, INVALID),
        (json!({ "query": "query A { hello }", "operationName": "B" }), 400, 200, INVALID),
        (json!({ "query": "query ($n: String) { hello(name: $n) }", "variables": { "n": 7 } }), 400, 200, INVALID),
        (json!({ "query": "{ fails }" }), 200, 200, "BAD_USER_INPUT"),
        (json!({ "query": "{ failsWhole }" }), 200, 200, "BAD_USER_INPUT"),
        (json!({ "qeury": "{ hello }" }), 400, 400, "BAD_REQUEST"),
        (json!({ "query": 7 }), 400, 400, "BAD_REQUEST"),
        (json!({ "query": "{ hello }", "operationName": {} }), 400, 400, "BAD_REQUEST"),
        (json!({ "query": "{ hello }", "variables": [7] }), 400, 400, "BAD_REQUEST"),
        (json!({ "query": "{ hello }", "variables": "{}" }), 400, 400, "BAD_REQUEST"),
        (json!({ "query": "{ hello }", "extensions": [] }), 400, 400, "BAD_REQUEST"),
        (json!({ "query": "{ hello }", "variables": null, "operationName": null, "extensions": null }), 200, 200, ""),
        (json!({ "query": "{ hello }", "unknown": true }), 200, 200, ""),
        (json!([{ "query": "{ hello }" }]), 400, 400, "BATCH_NOT_ALLOWED"),
        (json!([]), 400, 400, "BATCH_NOT_ALLOWED"),
        (json!("{ hello }"), 400, 400, "BAD_REQUEST"),
    ];
    for (body, preferred, legacy, code) in table {
        for (accept, expected) in [(PREFERRED, preferred), (LEGACY, legacy)] {
            let client = reqwest::Client::new();
            let request = client.post(server.url("/graphql")).header("accept", accept).json(&body);
            let answer = Answer::to(request).await;
            assert_eq!(answer.verdict(), (expected, code), "{accept}: {body}: {}", answer.body);
            assert_eq!(answer.header("content-type"), format!("{accept}; charset=utf-8"));
        }
    }
}

#[tokio::test]
async fn data_is_absent_if_nothing_ran_and_null_if_it_was_lost() {
    let server = Server::start().await;
    let keys = |answer: &Answer| answer.body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();

    let refused = Answer::to(server.post("{ unknown }")).await;
    assert_eq!(keys(&refused), ["errors", "extensions"]);

    let lost = Answer::to(server.post("{ failsWhole }")).await;
    assert_eq!(lost.body["data"], Value::Null);
    assert_eq!(keys(&lost), ["data", "errors", "extensions"]);

    let partial = Answer::to(server.post("{ fails hello }")).await;
    assert_eq!(partial.body["data"], json!({ "fails": null, "hello": "hello world" }));
    assert_eq!(partial.body["errors"][0]["path"], json!(["fails"]));

    let whole = Answer::to(server.post("{ hello }")).await;
    assert_eq!(keys(&whole), ["data", "extensions"]);
}

#[tokio::test]
async fn every_answer_names_the_request() {
    let server = Server::start().await;
    for query in ["{ hello }", "{", "{ unknown }", "{ fails }", "{ panics }"] {
        let answer = Answer::to(server.post(query)).await;
        let id = answer.header("x-request-id");
        assert_eq!(id.len(), 32, "{query}");
        assert_eq!(answer.body["extensions"]["requestId"], id, "{query}");
        for error in answer.body["errors"].as_array().unwrap_or(&Vec::new()) {
            assert_eq!(error["extensions"]["requestId"], id, "{query}");
        }
    }
}

#[tokio::test]
async fn broken_json_is_400_under_both_types() {
    let server = Server::start().await;
    for body in ["NONSENSE", r#"{"query":"#, "", "[{]", "{\"query\":\"{ hello }\"} trailing"] {
        for accept in [PREFERRED, LEGACY] {
            let request = reqwest::Client::new()
                .post(server.url("/graphql"))
                .header("accept", accept)
                .header("content-type", "application/json")
                .body(body);
            assert_eq!(Answer::to(request).await.verdict(), (400, "BAD_REQUEST"), "{body}");
        }
    }
}

#[tokio::test]
async fn headers_of_the_service_reach_the_client() {
    let server = Server::start().await;
    let answer = Answer::to(server.post("{ hello }")).await;
    assert_eq!(answer.header("x-tenant"), "acme");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("vary"), "accept");
}
