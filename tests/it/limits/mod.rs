//! Limits by cost, lanes of tenants, and what Redis shares between servers.

mod buckets;
mod caches;
mod documents;
mod flood;
mod process;
mod shared;
mod sign_in;

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry::{clock::Clock, config::Settings};

use crate::support::{
    app::{Reply, TestApp, TestUser},
    database::migrated,
};

/// The cheapest question there is: one point, of which nothing comes back.
pub const CHEAP: &str = "{ viewer { kind } }";

/// A server whose time stands still, with these settings.
pub async fn at_rest(change: impl FnOnce(&mut Settings)) -> (TestApp, Clock) {
    let clock = Clock::fixed(Clock::system().now());
    (TestApp::on(Arc::new(migrated().await), clock.clone(), change).await, clock)
}

pub fn cost(reply: &Reply) -> &Value {
    &reply.body["extensions"]["cost"]
}

pub async fn ask(user: &TestUser, document: &str) -> Reply {
    user.query(document, json!({})).await
}

/// Whether the request was refused because there was too little in this bucket.
pub fn is_limited_by(reply: &Reply, limit: &str) -> bool {
    reply.codes() == ["RATE_LIMITED"] && reply.body["errors"][0]["extensions"]["limit"] == limit
}

/// Asks until it is refused; how often it was admitted.
pub async fn exhaust(user: &TestUser, document: &str) -> (usize, Reply) {
    for admitted in 0..10_000 {
        let reply = ask(user, document).await;
        if reply.codes() == ["RATE_LIMITED"] {
            return (admitted, reply);
        }
        assert_eq!(reply.codes(), Vec::<&str>::new(), "{reply:?}");
    }
    panic!("there is no end to it");
}
