//! Attempts to prove who somebody is are counted besides their cost: by account and by address.

use serde_json::json;
use tenantry::{
    config::Settings,
    domain::{
        identity::{self, types::NewUser},
        platform,
    },
};

use super::{at_rest, is_limited_by};
use crate::support::app::{Reply, TestApp, unique};

const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken userErrors { code } } }";

async fn sign_in(app: &TestApp, email: &str, password: &str) -> Reply {
    let input = json!({ "input": { "email": email, "password": password } });
    app.send("/graphql", &[], &json!({ "query": SIGN_IN, "variables": input })).await
}

fn few(settings: &mut Settings) {
    (settings.rates.sign_in_account_burst, settings.rates.sign_in_account_per_minute) = (3, 6);
    (settings.rates.sign_in_address_burst, settings.rates.sign_in_address_per_minute) = (8, 60);
}

#[tokio::test]
async fn an_account_is_tried_so_often_however_its_address_is_written() {
    let (app, clock) = at_rest(few).await;
    let email = format!("{}@example.test", unique("guessed"));
    for spelling in [email.clone(), email.to_uppercase(), format!(" {email} ")] {
        let reply = sign_in(&app, &spelling, "wrong").await;
        assert_eq!(reply.payload("signIn").user_errors(), ["INVALID_CREDENTIALS at "], "{reply:?}");
    }
    let reply = sign_in(&app, &email, "wrong").await;
    assert!(is_limited_by(&reply, "signInAccount"), "{reply:?}");
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("10")));
    // Another account is not concerned, nor is the first one once there is a place.
    let other = sign_in(&app, "other@example.test", "wrong").await;
    assert_eq!(other.payload("signIn").user_errors(), ["INVALID_CREDENTIALS at "]);
    clock.advance(chrono::Duration::seconds(10));
    assert_eq!(sign_in(&app, &email, "wrong").await.status, 200);
}

#[tokio::test]
async fn an_address_tries_so_many_accounts() {
    let (app, _) = at_rest(few).await;
    for number in 0..8 {
        assert_eq!(sign_in(&app, &format!("guess{number}@example.test"), "wrong").await.status, 200);
    }
    let reply = sign_in(&app, "guess9@example.test", "wrong").await;
    assert!(is_limited_by(&reply, "signInAddress"), "{reply:?}");
    let refresh = "mutation { tokenRefresh(input: { refreshToken: \"tnr_guess\" }) { userErrors { code } } }";
    let reply = app.send("/graphql", &[], &json!({ "query": refresh })).await;
    assert!(is_limited_by(&reply, "signInAddress"), "{reply:?}");
    // What proves nothing is not counted.
    let reply = app.send("/graphql", &[], &json!({ "query": "{ __typename }" })).await;
    assert_eq!(reply.codes(), Vec::<&str>::new());
}

#[tokio::test]
async fn many_attempts_in_one_document_count_as_many() {
    let (app, _) = at_rest(few).await;
    let attempts: String = (0..4)
        .map(|number| {
            format!(
                "a{number}: signIn(input: {{ email: \"guessed@example.test\", password: \"{number}\" }}) {{ accessToken }} "
            )
        })
        .collect();
    let reply = app.send("/graphql", &[], &json!({ "query": format!("mutation {{ {attempts} }}") })).await;
    // More than may ever come at once.
    assert_eq!((reply.status, reply.codes()), (400, vec!["QUERY_TOO_COMPLEX"]), "{reply:?}");
}

#[tokio::test]
async fn who_knows_the_password_gets_in() {
    let (app, _) = at_rest(few).await;
    let email = format!("{}@example.test", unique("known"));
    let services = &app.app.services;
    let ctx = platform::service::operator(services, "test", None);
    let new = NewUser {
        email: email.clone(),
        display_name: "Ada".to_owned(),
        password: Some("a long demo password".to_owned().into()),
        is_verified: true,
    };
    identity::service::create_user(services, &ctx, new).await.expect("a person");
    sign_in(&app, &email, "wrong").await.payload("signIn");
    assert_eq!(
        sign_in(&app, &email, "a long demo password").await.payload("signIn").user_errors(),
        Vec::<String>::new()
    );
}
