//! The keys that sign access tokens.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tenantry::{
    app::App,
    clock::Clock,
    config::{Key32, Keys, Settings},
};

use super::whoami;
use crate::support::app::{TestApp, keys};

async fn published(app: &TestApp) -> Vec<Value> {
    let url = format!("{}/.well-known/jwks.json", app.url);
    let reply =
        reqwest::Client::builder().no_proxy().build().expect("a client").get(url).send().await.expect("an answer");
    let set: Value = serde_json::from_str(&reply.text().await.expect("a body")).expect("JSON");
    set["keys"].as_array().expect("keys").clone()
}

#[tokio::test]
async fn others_can_verify_a_token_with_the_published_keys() {
    let app = TestApp::start().await;
    let person = app.person().await;
    let header = jsonwebtoken::decode_header(&person.token).expect("a header");
    let keys = published(&app).await;
    let key = keys.iter().find(|key| key["kid"].as_str() == header.kid.as_deref()).expect("its key");
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str(), key["alg"].as_str()),
        (Some("OKP"), Some("Ed25519"), Some("EdDSA"))
    );
    assert!(keys.iter().all(|key| key.get("d").is_none()), "no private half");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["tenantry-api"]);
    let verifier = DecodingKey::from_ed_components(key["x"].as_str().expect("a text")).expect("a key");
    let claims = jsonwebtoken::decode::<Value>(&person.token, &verifier, &validation).expect("good").claims;
    assert_eq!(claims["sub"], person.user.to_string());
}

#[tokio::test]
async fn servers_that_start_at_once_share_one_key() {
    let first = TestApp::isolated().await;
    let settings = Settings::default();
    let (url, platform) = (first.database.url("tenantry_app").into(), first.database.url("tenantry_platform").into());
    first.database.run("tenantry", "DELETE FROM signing_keys").await;
    let keys = keys();
    let start = || App::new(&settings, &keys, &url, Some(&platform), Clock::system());
    let apps: Vec<Arc<App>> =
        futures::future::join_all((0..6).map(|_| start())).await.into_iter().map(|app| app.expect("starts")).collect();
    let sets: std::collections::HashSet<String> =
        apps.iter().map(|app| app.services.identity.public_jwks().to_string()).collect();
    assert_eq!(sets.len(), 1);
    assert_eq!(apps[0].services.identity.public_jwks()["keys"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_token_of_a_key_that_another_process_made_is_known() {
    let database = TestApp::isolated().await.database;
    // The key of the machine's own time would cover part of what follows.
    database.run("tenantry", "DELETE FROM signing_keys").await;
    let clock = Clock::fixed(DateTime::<Utc>::from_timestamp(1_795_000_000, 0).expect("a time"));
    let here = TestApp::on(Arc::clone(&database), clock.clone(), |_| {}).await;
    let there = TestApp::on(Arc::clone(&database), clock.clone(), |_| {}).await;
    let kid = |token: &str| jsonwebtoken::decode_header(token).expect("a header").kid;
    let old = here.person().await;
    // The next key is made before the last one ends, by whoever signs first.
    clock.advance(Duration::days(81));
    let new = here.person().await;
    assert_ne!(kid(&old.token), kid(&new.token));
    assert_eq!(published(&here).await.len(), 2);
    // Reading again takes a pause after the last reading.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(whoami(&there, &format!("Bearer {}", new.token)).await.status, 200);
    clock.advance(Duration::days(10));
    assert_eq!(published(&here).await.len(), 1, "the old one is retired");
}

#[tokio::test]
async fn keys_under_another_token_key_are_refused_with_what_to_do() {
    let app = TestApp::isolated().await;
    let other = Keys { token: Key32::generate().expect("random bytes"), ..keys() };
    let (url, platform) = (app.database.url("tenantry_app").into(), app.database.url("tenantry_platform").into());
    let refused = App::new(&Settings::default(), &other, &url, Some(&platform), Clock::system()).await;
    let error = refused.err().expect("refused");
    let text = tenantry::domain::error::chain(&error);
    assert!(text.contains("TENANTRY_TOKEN_KEY") && text.contains("signing_keys"), "{text}");
}

#[tokio::test]
async fn strangers_cannot_make_the_server_read_its_keys_without_end() {
    let app = TestApp::start().await;
    let elsewhere = TestApp::isolated().await.person().await;
    let bearer = format!("Bearer {}", elsewhere.token);
    let authenticator = tenantry::domain::identity::Authenticator::new(app.app.services.identity.clone());
    let stats = Arc::new(tenantry::db::Stats::default());
    for _ in 0..50 {
        let now = app.app.services.clock.now();
        let refused = authenticator.authenticate(&app.app.services.db, Some(&bearer), now, &stats).await;
        assert_eq!(refused.expect_err("unknown").reason(), "unknown");
    }
    assert!(stats.statements() <= 3, "{} statements", stats.statements());
}
