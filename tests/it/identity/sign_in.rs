//! Signing in: what it gives, what it refuses, what it does not tell.

use std::time::{Duration as StdDuration, Instant};

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tenantry::{clock::Clock, domain::identity::service, ids::Id};

use super::{PASSWORD, person_with_password, refresh, refusal, sign_in, sign_in_with, whoami};
use crate::support::app::{TestApp, unique};

fn someday() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
}

#[tokio::test]
async fn address_and_password_open_a_session() {
    let app = TestApp::start().await;
    let (user, email) = person_with_password(&app).await;
    let tokens = sign_in(&app, &format!("  {} ", email.to_uppercase()), PASSWORD).await.payload("signIn");
    assert_eq!(tokens.user_errors(), Vec::<String>::new());
    let reply = whoami(&app, &format!("Bearer {}", tokens.at("/accessToken"))).await;
    assert_eq!(reply.data()["viewer"]["user"]["id"], user.to_string());
    let ends: DateTime<Utc> = tokens.at("/accessTokenExpiresAt").parse().expect("a time");
    assert!(ends <= app.app.services.clock.now() + Duration::minutes(15));
    assert!(tokens.at("/refreshToken").starts_with("tnr_"));
    assert!(tokens.at("/sessionId").starts_with("ses_"));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_look_alike_and_take_as_long() {
    let app = TestApp::start().await;
    let (_, email) = person_with_password(&app).await;
    let unknown = format!("{}@example.test", unique("nobody"));
    let mut took = [StdDuration::ZERO; 2];
    for _ in 0..5 {
        let mut answers = Vec::new();
        for (place, address) in [&email, &unknown].into_iter().enumerate() {
            let began = Instant::now();
            let reply = sign_in(&app, address, "not this one at all").await;
            took[place] += began.elapsed();
            assert_eq!(refusal(&reply, "signIn").0, "INVALID_CREDENTIALS");
            answers.push(reply.data().to_string());
        }
        assert_eq!(answers[0], answers[1]);
    }
    // Both are answered on the same clock of steps; whoever skipped the computation would be a step ahead each time.
    let ratio = took[0].as_secs_f64() / took[1].as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "{took:?}");
}

#[tokio::test]
async fn a_row_of_failures_locks_known_and_unknown_addresses_for_a_while() {
    let clock = Clock::fixed(someday());
    let database = TestApp::isolated().await.database;
    let app = TestApp::on(database, clock.clone(), |_| {}).await;
    let (_, email) = person_with_password(&app).await;
    let unknown = format!("{}@example.test", unique("nobody"));
    for address in [&email, &unknown] {
        for _ in 0..9 {
            let reply = sign_in(&app, address, "not this one at all").await;
            assert_eq!(refusal(&reply, "signIn").0, "INVALID_CREDENTIALS");
        }
        let reply = sign_in(&app, address, "not this one at all").await;
        assert_eq!(refusal(&reply, "signIn"), ("ACCOUNT_LOCKED", &json!({ "retryAfterSeconds": 900 })));
    }
    clock.advance(Duration::seconds(600));
    for address in [&email, &unknown] {
        let reply = sign_in(&app, address, PASSWORD).await;
        assert_eq!(
            refusal(&reply, "signIn"),
            ("ACCOUNT_LOCKED", &json!({ "retryAfterSeconds": 300 })),
            "nor the right one"
        );
    }
    clock.advance(Duration::seconds(300));
    assert_eq!(sign_in(&app, &email, PASSWORD).await.payload("signIn").user_errors(), Vec::<String>::new());
    assert_eq!(refusal(&sign_in(&app, &unknown, PASSWORD).await, "signIn").0, "INVALID_CREDENTIALS");
    // A success forgets the failures.
    let reply = sign_in(&app, &email, "not this one at all").await;
    assert_eq!(refusal(&reply, "signIn").0, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn people_without_password_or_verified_address_or_whom_an_operator_locked_stay_out() {
    let app = TestApp::start().await;
    let person = app.person().await;
    assert_eq!(refusal(&sign_in(&app, &person.email, PASSWORD).await, "signIn").0, "INVALID_CREDENTIALS");

    let (user, email) = person_with_password(&app).await;
    let tokens = sign_in(&app, &email, PASSWORD).await.payload("signIn");
    let lock = format!("UPDATE users SET status = 'locked' WHERE id = '{}'", user.uuid());
    app.database.run("tenantry", &lock).await;
    assert_eq!(refusal(&sign_in(&app, &email, PASSWORD).await, "signIn").0, "ACCOUNT_LOCKED");
    assert_eq!(refusal(&sign_in(&app, &email, "a wrong password").await, "signIn").0, "INVALID_CREDENTIALS");
    assert_eq!(refusal(&refresh(&app, &tokens.at("/refreshToken")).await, "tokenRefresh").0, "TOKEN_INVALID");
    let ctx = tenantry::domain::platform::service::operator(&app.app.services, "test", None);
    assert!(service::create_session_for(&app.app.services, &ctx, user).await.is_err());
}

#[tokio::test]
async fn what_is_no_address_or_no_password_is_refused_without_harm() {
    let app = TestApp::start().await;
    for email in ["", "@", "nobody", "a b@c", "\u{0}@x", &"x".repeat(300)] {
        assert_eq!(refusal(&sign_in(&app, email, PASSWORD).await, "signIn").0, "INVALID_CREDENTIALS", "{email}");
    }
    let (_, email) = person_with_password(&app).await;
    assert_eq!(refusal(&sign_in(&app, &email, "").await, "signIn").0, "INVALID_CREDENTIALS");
    assert_eq!(refusal(&sign_in(&app, &email, &"x".repeat(1_025)).await, "signIn").0, "TOO_LONG");
}

#[tokio::test]
async fn a_sign_in_is_on_record_where_the_person_is_a_member() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (user, email) = person_with_password(&app).await;
    let (_, stranger) = person_with_password(&app).await;
    let services = &app.app.services;
    let named = tenant.named().await;
    tenantry::domain::platform::service::member_add(services, "test", named, user, vec!["member".to_owned()], None)
        .await
        .expect("a member");
    let before = tenant.audit().await.len();
    let at = [("x-tenant", tenant.slug.as_str())];
    sign_in_with(&app, &at, &stranger, PASSWORD).await.payload("signIn").at("/accessToken");
    refusal(&sign_in_with(&app, &at, &email, "a wrong password").await, "signIn");
    assert_eq!(tenant.audit().await.len(), before, "neither a stranger nor nobody is in a tenant's log");

    let tokens = sign_in_with(&app, &at, &email, PASSWORD).await.payload("signIn");
    let tokens = super::refresh_with(&app, &at, &tokens.at("/refreshToken")).await.payload("tokenRefresh");
    let bearer = format!("Bearer {}", tokens.at("/accessToken"));
    let headers = [at[0], ("authorization", bearer.as_str())];
    let reply = app.send("/graphql", &headers, &json!({ "query": "mutation { signOut { sessionId } }" })).await;
    assert_eq!(reply.data()["signOut"]["sessionId"], tokens.at("/sessionId"));
    let expected =
        ["session.sign_in", "session.refresh", "session.sign_out"].map(|name| (name.to_owned(), "success".to_owned()));
    assert_eq!(tenant.audit().await[before..], expected);
}

#[tokio::test]
async fn tokens_are_not_given_twice_for_an_idempotency_key() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (_, email) = person_with_password(&app).await;
    let bearer = format!("Bearer {}", tenant.owner.token);
    let headers =
        [("x-tenant", tenant.slug.as_str()), ("authorization", &bearer), ("idempotency-key", "0123456789abcdef")];
    let reply = sign_in_with(&app, &headers, &email, PASSWORD).await;
    assert_eq!(reply.codes(), ["BAD_USER_INPUT"], "{reply:?}");
}
