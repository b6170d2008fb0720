//! The prices in `docs/rate-limits.md` are those that a server takes.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tenantry::app::demo;

use super::cost;
use crate::{
    docs::blocks::{blocks, document},
    support::app::TestApp,
};

#[tokio::test]
async fn every_price_in_the_document_is_the_servers() {
    let app = TestApp::isolated().await;
    let password = || SecretString::from("a long demo password");
    let demo = demo::load(&app.app.services, password).await.expect("demo data");
    let (_, _, key) = demo.api_keys.iter().find(|(tenant, ..)| tenant == "acme").expect("a key of acme");
    let bearer = format!("Bearer {}", key.expose_secret());
    let mut priced = 0;
    for block in blocks(&document("docs/rate-limits.md")).into_iter().filter(|block| block.language == "graphql") {
        let (Some(requested), Some(actual)) = (block.note("requested"), block.note("actual")) else { continue };
        let reply = app.send("/graphql", &[("authorization", &bearer)], &json!({ "query": block.text })).await;
        assert_eq!(reply.codes(), Vec::<&str>::new(), "{block}: {reply:?}");
        let found = (cost(&reply)["requested"].to_string(), cost(&reply)["actual"].to_string());
        assert_eq!(found, (requested.to_owned(), actual.to_owned()), "{block}");
        priced += 1;
    }
    assert!(priced >= 4, "{priced} blocks have a price");
}
