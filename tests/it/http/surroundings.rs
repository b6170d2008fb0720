//! What the service is told about a request, and what surrounds every answer.

use reqwest::{Client, Method};
use serde_json::json;
use tenantry::http::{
    client::TrustedProxies,
    endpoint::Transport,
    router::{Origin, Settings},
    server::Times,
};

use super::{Answer, Server};

fn last(server: &Server) -> Transport {
    server.service.seen.lock().unwrap().pop().expect("a request that reached the service")
}

#[tokio::test]
async fn all_that_names_a_caller_or_a_tenant_is_handed_on() {
    let server = Server::start().await;
    let request = Client::new()
        .post(server.url("/t/acme/graphql?tenant=globex"))
        .json(&json!({ "query": "{ hello }" }))
        .header("x-tenant", "initech")
        .header("authorization", "Bearer demo")
        .header("cookie", "a=1; b=2")
        .header("idempotency-key", "0123456789abcdef")
        .header("user-agent", "test")
        .header("origin", "https://app.example.com");
    Answer::to(request).await;
    let seen = last(&server);
    assert_eq!(seen.host.as_deref(), Some(server.address.to_string().as_str()));
    assert_eq!(seen.path_tenant.as_deref(), Some("acme"));
    assert_eq!(seen.query_tenant.as_deref(), Some("globex"));
    assert_eq!(seen.header_tenant.as_deref(), Some("initech"));
    assert_eq!(seen.authorization.as_deref(), Some("Bearer demo"));
    assert_eq!(seen.cookie.as_deref(), Some("a=1; b=2"));
    assert_eq!(seen.idempotency_key.as_deref(), Some("0123456789abcdef"));
    assert_eq!(seen.user_agent.as_deref(), Some("test"));
    assert_eq!(seen.origin.as_deref(), Some("https://app.example.com"));
    assert_eq!(seen.client_addr.to_string(), "127.0.0.1");
    assert!(!seen.method_is_get);

    Answer::to(server.post("{ hello }")).await;
    let bare = last(&server);
    assert!(bare.path_tenant.is_none() && bare.query_tenant.is_none() && bare.header_tenant.is_none());
    assert!(bare.authorization.is_none() && bare.cookie.is_none());
}

#[tokio::test]
async fn what_decides_must_not_be_said_twice_or_unreadably() {
    let server = Server::start().await;
    for name in ["x-tenant", "authorization", "idempotency-key"] {
        let request = server.post("{ hello }").header(name, "a").header(name, "b");
        assert_eq!(Answer::to(request).await.verdict(), (400, "BAD_REQUEST"), "{name} twice");
        let request = server.post("{ hello }").header(name, [0xff_u8].as_slice());
        assert_eq!(Answer::to(request).await.verdict(), (400, "BAD_REQUEST"), "{name} unreadable");
    }
    let request = Client::new().post(server.url("/graphql?tenant=a&tenant=b")).json(&json!({ "query": "{ hello }" }));
    assert_eq!(Answer::to(request).await.verdict(), (400, "BAD_REQUEST"));
    assert!(server.service.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_trace_that_began_elsewhere_gives_the_request_its_id() {
    let server = Server::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = Answer::to(server.post("{ hello }").header("traceparent", parent)).await;
    assert_eq!(answer.header("x-request-id"), trace);
    assert_eq!(last(&server).request_id.to_string(), trace);

    let answer = Answer::to(server.post("{ hello }").header("traceparent", "00-nonsense-00-00")).await;
    assert_ne!(answer.header("x-request-id"), trace);
    let other = Answer::to(server.post("{ hello }").header("x-request-id", trace)).await;
    assert_ne!(other.header("x-request-id"), trace, "a bare x-request-id is not taken over");
    assert_ne!(other.header("x-request-id"), answer.header("x-request-id"));
}

#[tokio::test]
async fn the_client_is_named_by_trusted_proxies_only() {
    let server = Server::start().await;
    Answer::to(server.post("{ hello }").header("x-forwarded-for", "203.0.113.7")).await;
    assert_eq!(last(&server).client_addr.to_string(), "127.0.0.1");

    let trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let server = Server::with(Settings { trusted_proxies, ..Settings::default() }, Times::default()).await;
    Answer::to(server.post("{ hello }").header("x-forwarded-for", "6.6.6.6, 203.0.113.7")).await;
    assert_eq!(last(&server).client_addr.to_string(), "203.0.113.7");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = Server::with(Settings { graphiql: true, ..Settings::default() }, Times::default()).await;
    for path in ["/graphql", "/graphiql", "/graphiql/none.js", "/nowhere"] {
        let reply = Client::new().get(server.url(path)).send().await.unwrap();
        let header = |name: &str| reply.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert!(header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(header("x-request-id").len(), 32, "{path}");
    }
}

#[tokio::test]
async fn other_origins_are_let_in_by_name() {
    let origin: Origin = "https://app.example.com".parse().unwrap();
    let server = Server::with(Settings { cors_origins: vec![origin], ..Settings::default() }, Times::default()).await;
    let preflight = |origin: &'static str| {
        Client::new()
            .request(Method::OPTIONS, server.url("/graphql"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-tenant")
            .send()
    };
    let allowed = preflight("https://app.example.com").await.unwrap();
    assert!(allowed.status().is_success());
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(allowed.headers()["access-control-allow-credentials"], "true");
    assert!(allowed.headers()["access-control-allow-headers"].to_str().unwrap().contains("x-tenant"));
    for other in ["https://evil.example", "null", "https://app.example.com.evil.example"] {
        let refused = preflight(other).await.unwrap();
        assert!(!refused.headers().contains_key("access-control-allow-origin"), "{other}");
    }

    let answer = Answer::to(server.post("{ hello }").header("origin", "https://app.example.com")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.com");
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(vary.join(",").contains("origin") && vary.join(",").contains("accept"), "{vary:?}");
}
