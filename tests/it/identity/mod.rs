//! Who somebody is: signing in, tokens, sessions, signing keys.

mod keys;
mod sessions;
mod sign_in;

use secrecy::SecretString;
use serde_json::{Value, json};
use tenantry::{
    domain::{
        identity::{self, types::NewUser},
        platform,
    },
    ids::UserId,
};

use crate::support::app::{Reply, TestApp, unique};

/// The password of everybody here.
pub const PASSWORD: &str = "correct horse battery staple";

/// A person with a password: id and address.
pub async fn person_with_password(app: &TestApp) -> (UserId, String) {
    let name = unique("signer");
    let new = NewUser {
        email: format!("{name}@Example.test"),
        display_name: name.clone(),
        password: Some(SecretString::from(PASSWORD)),
        is_verified: true,
    };
    let email = new.email.clone();
    let services = &app.app.services;
    let ctx = platform::service::operator(services, "test", None);
    (identity::service::create_user(services, &ctx, new).await.expect("a person"), email)
}

const TOKENS: &str = "accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt sessionId \
                      userErrors { code message path params }";

pub async fn sign_in_with(app: &TestApp, headers: &[(&str, &str)], email: &str, password: &str) -> Reply {
    let document = format!("mutation($input: SignInInput!) {{ signIn(input: $input) {{ {TOKENS} }} }}");
    let input = json!({ "email": email, "password": password });
    app.send("/graphql", headers, &json!({ "query": document, "variables": { "input": input } })).await
}

pub async fn sign_in(app: &TestApp, email: &str, password: &str) -> Reply {
    sign_in_with(app, &[], email, password).await
}

pub async fn refresh_with(app: &TestApp, headers: &[(&str, &str)], token: &str) -> Reply {
    let document = format!("mutation($input: TokenRefreshInput!) {{ tokenRefresh(input: $input) {{ {TOKENS} }} }}");
    let input = json!({ "refreshToken": token });
    app.send("/graphql", headers, &json!({ "query": document, "variables": { "input": input } })).await
}

pub async fn refresh(app: &TestApp, token: &str) -> Reply {
    refresh_with(app, &[], token).await
}

/// Asks who asks.
pub async fn whoami(app: &TestApp, authorization: &str) -> Reply {
    let body = json!({ "query": "{ viewer { user { id } } }" });
    app.send("/graphql", &[("authorization", authorization)], &body).await
}

/// The `reason` of a request that was refused for its credential.
pub fn reason(reply: &Reply) -> &str {
    assert_eq!((reply.status, reply.codes()), (401, vec!["UNAUTHENTICATED"]), "{reply:?}");
    reply.body["errors"][0]["extensions"]["reason"].as_str().unwrap_or("none")
}

/// The user error of a sign-in: code and parameters.
pub fn refusal<'r>(reply: &'r Reply, field: &str) -> (&'r str, &'r Value) {
    let payload = &reply.data()[field];
    assert!(payload["accessToken"].is_null() && payload["refreshToken"].is_null(), "{reply:?}");
    let errors = payload["userErrors"].as_array().expect("user errors");
    assert_eq!(errors.len(), 1, "{reply:?}");
    (errors[0]["code"].as_str().expect("a code"), &errors[0]["params"])
}
