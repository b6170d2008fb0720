//! Access tokens, refresh tokens and the end of sessions.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tenantry::clock::Clock;

use super::{PASSWORD, person_with_password, reason, refresh, refusal, sign_in, whoami};
use crate::support::app::TestApp;

fn someday() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
}

async fn at_a_fixed_time() -> (TestApp, Clock) {
    let clock = Clock::fixed(someday());
    let database = TestApp::isolated().await.database;
    (TestApp::on(database, clock.clone(), |_| {}).await, clock)
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let app = TestApp::start().await;
    let (_, email) = person_with_password(&app).await;
    let first = sign_in(&app, &email, PASSWORD).await.payload("signIn");
    let second = refresh(&app, &first.at("/refreshToken")).await.payload("tokenRefresh");
    assert_eq!(second.at("/sessionId"), first.at("/sessionId"));
    assert_ne!(second.at("/refreshToken"), first.at("/refreshToken"));
    let bearer = format!("Bearer {}", second.at("/accessToken"));
    assert_eq!(whoami(&app, &bearer).await.status, 200);

    let reused = refresh(&app, &first.at("/refreshToken")).await;
    assert_eq!(refusal(&reused, "tokenRefresh").0, "TOKEN_INVALID");
    assert_eq!(reason(&whoami(&app, &bearer).await), "revoked", "at once, in this process");
    assert_eq!(refusal(&refresh(&app, &second.at("/refreshToken")).await, "tokenRefresh").0, "TOKEN_INVALID");
    // Another session of the same person is untouched.
    assert_eq!(sign_in(&app, &email, PASSWORD).await.payload("signIn").user_errors(), Vec::<String>::new());
}

#[tokio::test]
async fn two_exchanges_of_one_refresh_token_at_once_give_one_pair_at_most() {
    let app = TestApp::start().await;
    let (_, email) = person_with_password(&app).await;
    let token = sign_in(&app, &email, PASSWORD).await.payload("signIn").at("/refreshToken");
    let replies = futures::future::join_all((0..8).map(|_| refresh(&app, &token))).await;
    let given = replies.iter().filter(|reply| !reply.data()["tokenRefresh"]["accessToken"].is_null()).count();
    assert_eq!(given, 1);
}

#[tokio::test]
async fn signing_out_ends_the_session_with_the_next_request() {
    let app = TestApp::start().await;
    let person = app.person().await;
    let reply = person.query("mutation { signOut { sessionId userErrors { code } } }", json!({})).await;
    assert!(reply.data()["signOut"]["sessionId"].as_str().is_some_and(|id| id.starts_with("ses_")), "{reply:?}");
    assert_eq!(reason(&whoami(&app, &format!("Bearer {}", person.token)).await), "revoked");
}

#[tokio::test]
async fn another_process_sees_the_end_of_a_session_when_its_memory_of_it_ends() {
    let here = TestApp::start().await;
    let there = TestApp::with(|settings| settings.auth.rights_cache_ttl_ms = 300).await;
    let person = here.person().await;
    let bearer = format!("Bearer {}", person.token);
    assert_eq!(whoami(&there, &bearer).await.status, 200);
    person.query("mutation { signOut { sessionId } }", json!({})).await.data();
    let began = std::time::Instant::now();
    while whoami(&there, &bearer).await.status == 200 {
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "later than any notice may come");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(reason(&whoami(&there, &bearer).await), "revoked");
}

#[tokio::test]
async fn an_api_key_has_no_session_to_end_and_nobody_neither() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let input = json!({ "name": "demo", "scopes": ["tasks:read"] });
    let secret = tenant.owner.mutate("apiKeyCreate", "secret", input).await.at("/secret");
    let reply = tenant.owner.with_token(&secret).query("mutation { signOut { sessionId } }", json!({})).await;
    assert_eq!(reply.codes(), ["FORBIDDEN"], "{reply:?}");
    let body = json!({ "query": "mutation { signOut { sessionId } }" });
    assert_eq!(app.send("/graphql", &[], &body).await.codes(), ["UNAUTHENTICATED"]);
}

#[tokio::test]
async fn tokens_end_by_the_clock() {
    let (app, clock) = at_a_fixed_time().await;
    let (_, email) = person_with_password(&app).await;
    let tokens = sign_in(&app, &email, PASSWORD).await.payload("signIn");
    let bearer = format!("Bearer {}", tokens.at("/accessToken"));
    assert_eq!(whoami(&app, &bearer).await.status, 200);
    clock.advance(Duration::seconds(900 + 5));
    assert_eq!(reason(&whoami(&app, &bearer).await), "expired", "also one that was good a moment ago");

    let tokens = refresh(&app, &tokens.at("/refreshToken")).await.payload("tokenRefresh");
    clock.advance(Duration::days(30));
    assert_eq!(refusal(&refresh(&app, &tokens.at("/refreshToken")).await, "tokenRefresh").0, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_session_that_is_always_refreshed_ends_all_the_same() {
    let (app, clock) = at_a_fixed_time().await;
    let (_, email) = person_with_password(&app).await;
    let mut tokens = sign_in(&app, &email, PASSWORD).await.payload("signIn");
    for _ in 0..4 {
        clock.advance(Duration::days(20));
        tokens = refresh(&app, &tokens.at("/refreshToken")).await.payload("tokenRefresh");
        assert_eq!(tokens.user_errors(), Vec::<String>::new());
    }
    // 80 days have gone; the last token is told to end with the session and not after its own 30.
    let ends: DateTime<Utc> = tokens.at("/refreshTokenExpiresAt").parse().expect("a time");
    assert_eq!(ends, someday() + Duration::days(90));
    let bearer = format!("Bearer {}", tokens.at("/accessToken"));
    assert_eq!(whoami(&app, &bearer).await.status, 200);
    clock.advance(Duration::days(10));
    assert_eq!(refusal(&refresh(&app, &tokens.at("/refreshToken")).await, "tokenRefresh").0, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn credentials_that_are_none_are_refused_with_their_reason() {
    let app = TestApp::start().await;
    let person = app.person().await;
    let token = person.token.clone();
    let elsewhere = TestApp::isolated().await.person().await;
    let (head, tail) = token.split_at(token.len() - 10);
    let tampered = format!("Bearer {head}{}", tail.chars().rev().collect::<String>());
    for (authorization, expected) in [
        ("Bearer".to_owned(), "missing"),
        ("Basic dXNlcjpwYXNz".to_owned(), "malformed"),
        ("Bearer x".to_owned(), "malformed"),
        ("Bearer tnk_live_x".to_owned(), "malformed"),
        (tampered, "malformed"),
        (format!("Bearer {}", "a.".repeat(3_000)), "malformed"),
        // Signed by a key of another installation.
        (format!("Bearer {}", elsewhere.token), "unknown"),
    ] {
        assert_eq!(reason(&whoami(&app, &authorization).await), expected, "{authorization:.60}");
    }
    let unknown = app.app.services.identity.api_keys().format().generate().expect("random bytes");
    use secrecy::ExposeSecret;
    let unknown = format!("Bearer {}", unknown.secret.expose_secret());
    assert_eq!(reason(&whoami(&app, &unknown).await), "unknown");
}

#[tokio::test]
async fn what_is_stored_opens_nothing() {
    let app = TestApp::start().await;
    let (_, email) = person_with_password(&app).await;
    let tokens = sign_in(&app, &email, PASSWORD).await.payload("signIn");
    let database = app.database.connect("tenantry").await;
    for (table, secret) in [
        ("refresh_tokens", tokens.at("/refreshToken")),
        ("sessions", tokens.at("/refreshToken")),
        ("sessions", tokens.at("/accessToken")),
        ("user_passwords", PASSWORD.to_owned()),
    ] {
        let count = format!("SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%' || $1 || '%'");
        let count: i64 = database.query_one(&count, &[&secret]).await.expect("a count").get(0);
        assert_eq!(count, 0, "{table}");
    }
}
