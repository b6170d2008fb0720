//! GraphiQL is served from the binary, and loads nothing from anywhere else.

use reqwest::{Client, Response};
use tenantry::http::{graphiql, router::Settings, server::Times};

use super::Server;

async fn get(server: &Server, path: &str) -> Response {
    Client::new().get(server.url(path)).send().await.unwrap()
}

async fn with_graphiql() -> Server {
    Server::with(Settings { graphiql: true, ..Settings::default() }, Times::default()).await
}

#[tokio::test]
async fn it_is_there_only_if_it_is_switched_on() {
    assert_eq!(get(&Server::start().await, "/graphiql").await.status(), 404);
    let server = with_graphiql().await;
    for path in ["/graphiql", "/graphiql/", "/t/acme/graphiql"] {
        let page = get(&server, path).await;
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers()["cache-control"], "no-cache");
    }
}

#[tokio::test]
async fn scripts_come_from_our_own_origin_only() {
    let page = get(&with_graphiql().await, "/graphiql").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let directive = |name: &str| policy.split(';').map(str::trim).find(|part| part.starts_with(name)).unwrap_or("");
    assert_eq!(directive("default-src"), "default-src 'none'");
    assert_eq!(directive("script-src"), "script-src 'self'");
    assert_eq!(directive("connect-src"), "connect-src 'self'");
    assert!(!policy.contains("http"), "{policy}");
}

#[tokio::test]
async fn the_page_is_the_bundle_or_says_how_to_get_it() {
    let server = with_graphiql().await;
    let page = get(&server, "/graphiql").await.text().await.unwrap();
    if !graphiql::is_bundled() {
        assert!(page.contains("web/graphiql/build"), "{page}");
        return;
    }
    let files: Vec<_> = page.split('"').filter(|part| part.starts_with("/graphiql/assets/")).collect();
    assert!(!files.is_empty(), "{page}");
    assert!(!page.contains("//"), "an address of another host: {page}");
    for path in files {
        let file = get(&server, path).await;
        assert_eq!(file.status(), 200, "{path}");
        assert_eq!(file.headers()["cache-control"], "public, max-age=31536000, immutable");
        let kind = file.headers()["content-type"].to_str().unwrap();
        let expected = match path.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("a file of an unexpected kind: {other}"),
        };
        assert_eq!(kind, expected, "{path}");
    }
}

#[tokio::test]
async fn only_files_of_the_bundle_are_served() {
    let server = with_graphiql().await;
    for path in ["/graphiql/none.js", "/graphiql/..%2f..%2fCargo.toml", "/graphiql/assets/../../package.json"] {
        assert_eq!(get(&server, path).await.status(), 404, "{path}");
    }
    assert_eq!(Client::new().post(server.url("/graphiql")).send().await.unwrap().status(), 405);
}
