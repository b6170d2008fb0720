//! Signing in and out in the API.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use secrecy::{ExposeSecret, SecretString};

use super::{service, types::Tokens};
use crate::{
    domain::{Error, audit::Action, gql},
    graphql::{
        UserError,
        directives::{audited, authenticated, public, sensitive},
        scalars::DateTime,
    },
};

// No `Debug` on what holds secrets.

/// Address and password of a person.
#[derive(InputObject)]
pub struct SignInInput {
    /// A verified e-mail address of the person.
    #[graphql(directive = sensitive::apply())]
    email: String,
    /// The password.
    #[graphql(directive = sensitive::apply())]
    password: String,
}

/// A refresh token to exchange.
#[derive(InputObject)]
pub struct TokenRefreshInput {
    /// The refresh token, `tnr_…`. It is good once: a second use ends the session.
    #[graphql(directive = sensitive::apply())]
    refresh_token: String,
}

/// The password of the person who asks.
#[derive(InputObject)]
pub struct ReauthenticateInput {
    /// The password.
    #[graphql(directive = sensitive::apply())]
    password: String,
}

/// What `reauthenticate` did.
#[derive(SimpleObject)]
pub struct ReauthenticatePayload {
    /// When it was proven; what asks for a recent proof accepts it for ten minutes. Null if it was not.
    authenticated_at: Option<DateTime>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

macro_rules! token_payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// For the header `Authorization: Bearer …`; null if nobody signed in.
            #[graphql(directive = sensitive::apply())]
            access_token: Option<String>,
            /// When the access token ends, 15 minutes from now at most.
            access_token_expires_at: Option<DateTime>,
            /// For `tokenRefresh`, once. Keep it like a password.
            #[graphql(directive = sensitive::apply())]
            refresh_token: Option<String>,
            /// When the refresh token ends.
            refresh_token_expires_at: Option<DateTime>,
            /// The session; `signOut` ends it.
            session_id: Option<ID>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(tokens: Option<Tokens>, user_errors: Vec<UserError>) -> Self {
                let Some(tokens) = tokens else {
                    return Self {
                        access_token: None,
                        access_token_expires_at: None,
                        refresh_token: None,
                        refresh_token_expires_at: None,
                        session_id: None,
                        user_errors,
                    };
                };
                Self {
                    access_token: Some(tokens.access.expose_secret().to_owned()),
                    access_token_expires_at: Some(DateTime(tokens.access_expires_at)),
                    refresh_token: Some(tokens.refresh.expose_secret().to_owned()),
                    refresh_token_expires_at: Some(DateTime(tokens.refresh_expires_at)),
                    session_id: Some(tokens.session.into()),
                    user_errors,
                }
            }
        }
    )*};
}

token_payloads! {
    /// What `signIn` gave.
    SignInPayload,
    /// What `tokenRefresh` gave.
    TokenRefreshPayload,
}

/// What `signOut` did.
#[derive(SimpleObject)]
pub struct SignOutPayload {
    /// The session that has ended.
    session_id: Option<ID>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

/// The outcome of a use case without a tenant: what it gave, or the caller's mistakes; else an error of the field.
fn payload<T, P>(
    outcome: std::result::Result<T, Error>,
    make: impl FnOnce(Option<T>, Vec<UserError>) -> P,
) -> Option<Result<P>> {
    Some(match outcome {
        Ok(done) => Ok(make(Some(done), Vec::new())),
        Err(Error::Rejected(problems)) => Ok(make(None, gql::user_errors(problems))),
        Err(error) => Err(error.into_api().into()),
    })
}

/// Signing in and out.
#[derive(Default)]
pub struct IdentityMutation;

#[Object]
impl IdentityMutation {
    /// Opens a session with address and password.
    #[graphql(directive = public::apply(), directive = audited::apply(Action::SignIn.name()))]
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who.")] input: SignInInput,
    ) -> Option<Result<SignInPayload>> {
        gql::renew(ctx);
        let password = SecretString::from(input.password);
        let tokens = service::sign_in(gql::services(ctx), gql::request(ctx), &input.email, password).await;
        payload(tokens, SignInPayload::new)
    }

    /// Exchanges a refresh token for new tokens of the same session. Send it without an access token.
    #[graphql(directive = public::apply(), directive = audited::apply(Action::TokenRefresh.name()))]
    async fn token_refresh(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] input: TokenRefreshInput,
    ) -> Option<Result<TokenRefreshPayload>> {
        gql::renew(ctx);
        let token = SecretString::from(input.refresh_token);
        let tokens = service::refresh(gql::services(ctx), gql::request(ctx), &token).await;
        payload(tokens, TokenRefreshPayload::new)
    }

    /// Proves again, in the session that asks, who you are. Some changes ask for a proof of the last ten minutes and answer
    /// `REAUTHENTICATION_REQUIRED` without one. Failures count like those of `signIn`.
    #[graphql(directive = authenticated::apply(), directive = audited::apply(Action::Reauthenticate.name()))]
    async fn reauthenticate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof.")] input: ReauthenticateInput,
    ) -> Option<Result<ReauthenticatePayload>> {
        gql::renew(ctx);
        let password = SecretString::from(input.password);
        let proven = service::reauthenticate(gql::services(ctx), gql::request(ctx), password).await;
        payload(proven, |at, user_errors| ReauthenticatePayload { authenticated_at: at.map(DateTime), user_errors })
    }

    /// Ends the session of the person who asks: access token and refresh token are refused from now on.
    #[graphql(directive = authenticated::apply(), directive = audited::apply(Action::SignOut.name()))]
    async fn sign_out(&self, ctx: &Context<'_>) -> Option<Result<SignOutPayload>> {
        gql::renew(ctx);
        let ended = service::sign_out(gql::services(ctx), gql::request(ctx)).await;
        payload(ended, |session, user_errors| SignOutPayload { session_id: session.map(ID::from), user_errors })
    }
}
