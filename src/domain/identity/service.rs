//! The use cases of identity: sign in, renew, sign out; people made by operators.

use std::{sync::Arc, time::Duration as StdDuration};

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{
    keys::Key,
    parts::LOCK,
    passwords,
    sessions::{MAX_SESSION, RefreshToken},
    store::{self, Account, DoorTx, NewSession},
    types::{Email, NewUser, Tokens, password_too_long},
};
use crate::{
    context::{Principal, RequestContext, membership},
    db::{DbError, Scope, WriteTx},
    domain::{
        Error, Problem, Services,
        audit::{self, Action, Entry, Outcome, Target},
        mutation::Work,
        platform,
    },
    graphql::{
        codes::{ErrorCode, UserErrorCode},
        error::ApiError,
    },
    ids::{AuditLogId, Id, RefreshTokenId, SessionId, UserId},
};

/// Refused sign-ins are answered at the next multiple of this time after they came in: what differs between a known
/// and an unknown address (a row written, a flush of the log) is shorter.
const REFUSAL_STEP: StdDuration = StdDuration::from_millis(100);

/// Why a session ended, as stored.
const SIGNED_OUT: &str = "signed_out";

/// What happened to a session, for the audit log of the tenant that the request names.
struct Record {
    user: UserId,
    session: SessionId,
    action: Action,
    outcome: Outcome,
    detail: serde_json::Value,
}

/// Signs a person in with address and password.
///
/// # Errors
/// `INVALID_CREDENTIALS` for an unknown address as for a wrong password; `ACCOUNT_LOCKED` with `retryAfterSeconds` after
/// too many of them; [`Error::Db`].
pub async fn sign_in(
    services: &Services,
    ctx: &RequestContext,
    email: &str,
    password: SecretString,
) -> Result<Tokens, Error> {
    refuse_idempotency(ctx, "signIn")?;
    let began = Instant::now();
    let outcome = prove_and_open(services, ctx, email, password).await;
    if let Err(Error::Rejected(problems)) = &outcome {
        let code = problems.first().map_or("", |problem| problem.code.as_str()).to_owned();
        metrics::counter!("tenantry_sign_ins_total", "outcome" => code.clone()).increment(1);
        tracing::info!(action = Action::SignIn.name(), code, "a sign-in was refused");
        let steps = began.elapsed().as_millis() / REFUSAL_STEP.as_millis() + 1;
        tokio::time::sleep_until(began + REFUSAL_STEP * u32::try_from(steps).unwrap_or(u32::MAX)).await;
    } else if outcome.is_ok() {
        metrics::counter!("tenantry_sign_ins_total", "outcome" => "success").increment(1);
    }
    outcome
}

async fn prove_and_open(
    services: &Services,
    ctx: &RequestContext,
    email: &str,
    password: SecretString,
) -> Result<Tokens, Error> {
    if password.expose_secret().len() > passwords::MAX_BYTES {
        return Err(password_too_long("input.password").into());
    }
    let email = Email::parse(email).ok_or_else(invalid_credentials)?;
    let user = prove(services, ctx, &email, password).await?;
    let tokens = open_session(services, ctx, user, true).await?;
    tracing::info!(action = Action::SignIn.name(), user.id = %user, session.id = %tokens.session, "signed in");
    Ok(tokens)
}

/// Who has this address and this password. Holds no connection while the password is compared.
async fn prove(
    services: &Services,
    ctx: &RequestContext,
    email: &Email,
    password: SecretString,
) -> Result<UserId, Error> {
    let (identity, now) = (&services.identity, ctx.now());
    let tx = services.db.person(None, &ctx.stats).await?;
    let account = store::find_account(&tx, email).await?;
    tx.finish();
    let locked_until = match &account {
        Some(account) => account.locked_until,
        None => identity.strangers().locked_until(email),
    };
    if let Some(end) = locked_until.filter(|end| now < *end) {
        return Err(account_locked(end, now));
    }
    let hash = account.as_ref().map(|account| account.hash.clone());
    let fits = identity.passwords().verify(password, hash).await;
    let fits = fits.map_err(|error| Error::Broken(crate::domain::error::chain(&error)))?;
    match account {
        Some(Account { user, status, .. }) if fits => match status.as_str() {
            "active" => Ok(user),
            // Said only to whoever has the password.
            "locked" => Err(Problem::new(UserErrorCode::AccountLocked, "input", "The account is locked.").into()),
            _ => Err(invalid_credentials()),
        },
        account => {
            // The same call for an address that nobody has: it counts for nobody.
            let user = account.as_ref().map_or_else(|| UserId::from_uuid(uuid::Uuid::nil()), |account| account.user);
            let tx = DoorTx::Alone(services.db.person(None, &ctx.stats).await?);
            let mut locked_until = store::record_sign_in(&tx, user, false, now, LOCK).await?;
            end(tx, ctx, None).await?;
            if account.is_none() {
                locked_until = identity.strangers().fail(email, now, LOCK);
            }
            Err(match locked_until.filter(|end| now < *end) {
                Some(end) => account_locked(end, now),
                None => invalid_credentials(),
            })
        }
    }
}

fn invalid_credentials() -> Error {
    Problem::new(UserErrorCode::InvalidCredentials, "input", "E-mail address or password is wrong.").into()
}

fn account_locked(end: DateTime<Utc>, now: DateTime<Utc>) -> Error {
    let milliseconds = (end - now).num_milliseconds();
    let seconds = (milliseconds + 999) / 1_000;
    Problem::new(UserErrorCode::AccountLocked, "input", "Too many failed attempts. Try again later.")
        .params(serde_json::json!({ "retryAfterSeconds": seconds.max(1) }))
        .into()
}

/// Opens a session for a person who has proven who they are, or for a demo's or a test's.
///
/// # Errors
/// `INVALID_CREDENTIALS` if the person is not active; [`Error::Db`].
pub async fn create_session_for(services: &Services, ctx: &RequestContext, user: UserId) -> Result<Tokens, Error> {
    open_session(services, ctx, user, false).await
}

async fn open_session(
    services: &Services,
    ctx: &RequestContext,
    user: UserId,
    is_sign_in: bool,
) -> Result<Tokens, Error> {
    let now = ctx.now();
    // Before the transaction: a request holds one connection at a time.
    let key = signing_key(services, ctx).await?;
    let refresh = RefreshToken::generate().map_err(no_random_bytes)?;
    let session = SessionId::new(now);
    let refresh_expires_at = now + services.identity.refresh_life();
    let new = NewSession {
        id: session,
        user,
        refresh_id: RefreshTokenId::new(now),
        refresh_hash: refresh.hash,
        now,
        expires_at: refresh_expires_at.max(now + MAX_SESSION),
        refresh_expires_at,
        address: ctx.client_address.map(IpNetwork::from),
        user_agent: ctx.user_agent.clone(),
    };
    let tx = begin(services, ctx, Some(user)).await?;
    let cleared = async {
        match is_sign_in {
            true => store::record_sign_in(&tx, user, true, now, LOCK).await.map(drop),
            false => Ok(()),
        }
    };
    futures::try_join!(cleared, store::create_session(&tx, new)).map_err(|error| match error {
        // The door refuses people who are unknown or not active.
        DbError::ForeignKey(_) => invalid_credentials(),
        other => other.into(),
    })?;
    let detail = serde_json::json!({});
    let record = Record { user, session, action: Action::SignIn, outcome: Outcome::Success, detail };
    end(tx, ctx, is_sign_in.then_some(record)).await?;
    tokens(services, &key, user, session, refresh, refresh_expires_at, now)
}

/// Exchanges a refresh token for a new pair of tokens of the same session.
///
/// # Errors
/// `TOKEN_INVALID` for a token that is unknown, was used before (its session has ended now) or whose session has ended;
/// `TOKEN_EXPIRED`; [`Error::Db`].
pub async fn refresh(services: &Services, ctx: &RequestContext, token: &SecretString) -> Result<Tokens, Error> {
    refuse_idempotency(ctx, "tokenRefresh")?;
    let now = ctx.now();
    let old_hash = RefreshToken::hash_of(token).ok_or_else(token_invalid)?;
    let key = signing_key(services, ctx).await?;
    let fresh = RefreshToken::generate().map_err(no_random_bytes)?;
    let (new_id, new_hash) = (RefreshTokenId::new(now), fresh.hash);
    let expires_at = now + services.identity.refresh_life();
    // Nobody is known before the token is.
    let tx = begin(services, ctx, None).await?;
    let rotation = store::rotate(&tx, old_hash, new_id, new_hash, now, expires_at).await?;
    let record = rotation.as_ref().and_then(|rotation| {
        let (outcome, detail) = match rotation.outcome.as_str() {
            "rotated" => (Outcome::Success, serde_json::json!({})),
            reason => (Outcome::Denied, serde_json::json!({ "reason": reason })),
        };
        let (user, session) = (rotation.user?, rotation.session?);
        Some(Record { user, session, action: Action::TokenRefresh, outcome, detail })
    });
    // Also what was refused: a token used twice ends its session.
    end(tx, ctx, record).await?;
    let rotation = rotation.ok_or_else(|| Error::Broken("app.refresh_rotate gave no row".to_owned()))?;
    metrics::counter!("tenantry_token_refreshes_total", "outcome" => rotation.outcome.clone()).increment(1);
    match (rotation.outcome.as_str(), rotation.user, rotation.session) {
        ("rotated", Some(user), Some(session)) => {
            // Its idle time is longer now.
            services.identity.sessions().forget(session).await;
            // The last token of a session ends with it.
            let expires_at = rotation.expires_at.unwrap_or(expires_at);
            tokens(services, &key, user, session, fresh, expires_at, now)
        }
        ("expired", ..) => {
            let message = "The refresh token has expired. Sign in again.";
            Err(Problem::new(UserErrorCode::TokenExpired, "input.refreshToken", message).into())
        }
        (outcome, user, session) => {
            if let ("reused", Some(user), Some(session)) = (outcome, user, session) {
                services.identity.sessions().forget(session).await;
                tracing::warn!(user.id = %user, session.id = %session, "a refresh token was used twice; its session has ended");
            }
            Err(token_invalid())
        }
    }
}

fn token_invalid() -> Error {
    Problem::new(UserErrorCode::TokenInvalid, "input.refreshToken", "The refresh token is not valid. Sign in again.")
        .into()
}

/// How long a proof counts as recent.
pub const RECENT: chrono::Duration = chrono::Duration::minutes(10);

/// Refuses unless the person behind a mutation has proven lately, in this session, who they are. One statement.
///
/// # Errors
/// `REAUTHENTICATION_REQUIRED`; `FORBIDDEN` for an API key, which cannot prove anything.
pub async fn require_recent_proof(work: &Work<'_>) -> Result<(), Error> {
    let (Principal::Person { session, .. }, Some(person)) = (&work.ctx.principal, work.tx.person()) else {
        return Err(ApiError::new(ErrorCode::Forbidden, "Only a person does this, not an API key.").into());
    };
    let proven = store::authenticated_at(person, *session).await?;
    if proven.is_some_and(|at| work.now() < at + RECENT) {
        return Ok(());
    }
    let message = "Prove again who you are, with reauthenticate, and repeat this.";
    Err(ApiError::new(ErrorCode::ReauthenticationRequired, message).with("maxAgeSeconds", RECENT.num_seconds()).into())
}

/// Proves again, in the session that asks, who somebody is. Failures count like those of a sign-in, and lock the account.
///
/// # Errors
/// `INVALID_CREDENTIALS`, also for a person without a password or without a verified address; `ACCOUNT_LOCKED`;
/// `FORBIDDEN` for an API key; [`Error::Db`].
pub async fn reauthenticate(
    services: &Services,
    ctx: &RequestContext,
    password: SecretString,
) -> Result<DateTime<Utc>, Error> {
    refuse_idempotency(ctx, "reauthenticate")?;
    let Principal::Person { user, session } = ctx.principal else {
        return Err(no_session(ctx, "Use a session for what asks for one."));
    };
    let proven = prove_again(services, ctx, user, password).await;
    if let Err(Error::Rejected(problems)) = &proven {
        let codes: Vec<_> = problems.iter().map(|problem| problem.code.as_str()).collect();
        let detail = serde_json::json!({ "userErrors": codes });
        services.refusals.record(ctx, Action::Reauthenticate.name(), Outcome::Error, detail);
    }
    proven?;
    let now = ctx.now();
    let tx = begin(services, ctx, Some(user)).await?;
    store::record_sign_in(&tx, user, true, now, LOCK).await?;
    if !store::reauthenticate(&tx, session, now).await? {
        return Err(ApiError::new(ErrorCode::Unauthenticated, "The session was ended. Sign in again.")
            .reason("revoked")
            .into());
    }
    let detail = serde_json::json!({});
    end(tx, ctx, Some(Record { user, session, action: Action::Reauthenticate, outcome: Outcome::Success, detail }))
        .await?;
    tracing::info!(action = Action::Reauthenticate.name(), user.id = %user, session.id = %session, "proved again");
    Ok(now)
}

async fn prove_again(
    services: &Services,
    ctx: &RequestContext,
    user: UserId,
    password: SecretString,
) -> Result<(), Error> {
    if password.expose_secret().len() > passwords::MAX_BYTES {
        return Err(password_too_long("input.password").into());
    }
    let tx = services.db.person(Some(user), &ctx.stats).await?;
    let address = match tx.person() {
        Some(person) => store::own_address(person).await?,
        None => None,
    };
    tx.finish();
    let email = address.as_deref().and_then(Email::parse).ok_or_else(invalid_credentials)?;
    match prove(services, ctx, &email, password).await? == user {
        true => Ok(()),
        false => Err(Error::Broken(format!("a verified address of {user} is somebody else's"))),
    }
}

fn no_session(ctx: &RequestContext, what_to_do: &str) -> Error {
    match ctx.principal.is_authenticated() {
        true => ApiError::new(ErrorCode::Forbidden, format!("An API key has no session. {what_to_do}")).into(),
        false => ApiError::new(ErrorCode::Unauthenticated, "Nobody is signed in.").reason("missing").into(),
    }
}

/// Ends the session of the person who asks; its access token is refused from the next request on.
///
/// # Errors
/// `FORBIDDEN` for an API key, which has no session; `UNAUTHENTICATED` for nobody; [`Error::Db`].
pub async fn sign_out(services: &Services, ctx: &RequestContext) -> Result<SessionId, Error> {
    let Principal::Person { user, session } = ctx.principal else {
        return Err(no_session(ctx, "Revoke the key instead."));
    };
    let now = ctx.now();
    let tx = begin(services, ctx, Some(user)).await?;
    store::revoke_session(&tx, session, SIGNED_OUT, now).await?;
    let detail = serde_json::json!({});
    end(tx, ctx, Some(Record { user, session, action: Action::SignOut, outcome: Outcome::Success, detail })).await?;
    services.identity.sessions().forget(session).await;
    tracing::info!(action = Action::SignOut.name(), user.id = %user, session.id = %session, "signed out");
    Ok(session)
}

/// Creates a person, through the login of operators; recorded in `platform_audit`.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input, `TAKEN` if somebody has the verified address; [`Error::Db`].
pub async fn create_user(services: &Services, ctx: &RequestContext, new: NewUser) -> Result<UserId, Error> {
    let Principal::Operator { label } = &ctx.principal else {
        return Err(Error::Broken("only operators create people".to_owned()));
    };
    let problems = new.problems("input");
    let (Some(email), true) = (Email::parse(&new.email), problems.is_empty()) else {
        return Err(Error::Rejected(problems));
    };
    let hash = match new.password {
        Some(password) => {
            let hash = services.identity.passwords().hash(password).await;
            Some(hash.map_err(|error| Error::Broken(crate::domain::error::chain(&error)))?)
        }
        None => None,
    };
    let now = ctx.now();
    let user = UserId::new(now);
    let name = new.display_name.trim().to_owned();
    let tx = services.db.platform(ctx.request, &ctx.stats).await?;
    store::create_user(&tx, user, email, name, hash, new.is_verified, now).await.map_err(|error| match error {
        DbError::Unique(name) if name == "user_emails_verified" => {
            Problem::new(UserErrorCode::Taken, "input.email", "Somebody has this verified address.").into()
        }
        other => Error::from(other),
    })?;
    let detail = serde_json::json!({ "userId": user, "isVerified": new.is_verified });
    platform::service::record(&tx, ctx, label, "user.create", detail).await?;
    tx.commit().await?;
    Ok(user)
}

/// Tokens are secrets and not kept, so a repetition could not give them again.
fn refuse_idempotency(ctx: &RequestContext, field: &str) -> Result<(), Error> {
    match ctx.idempotency {
        None => Ok(()),
        Some(_) => {
            let message =
                format!("Idempotency-Key does not go with {field}: a repetition could not give the tokens again.");
            Err(ApiError::new(ErrorCode::BadUserInput, message).into())
        }
    }
}

async fn signing_key(services: &Services, ctx: &RequestContext) -> Result<Arc<Key>, Error> {
    let key = services.identity.keys().for_signing(&services.db, ctx.now(), &ctx.stats).await;
    key.map_err(|error| match error {
        super::KeyError::Db(error) => Error::Db(error),
        other => Error::Broken(crate::domain::error::chain(&other)),
    })
}

fn tokens(
    services: &Services,
    key: &Key,
    user: UserId,
    session: SessionId,
    refresh: RefreshToken,
    refresh_expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Tokens, Error> {
    let issued = services.identity.tokens().issue(key, user, session, now);
    let (access, access_expires_at) = issued.ok_or_else(|| Error::Broken(format!("{key:?} does not sign")))?;
    Ok(Tokens { user, session, access, access_expires_at, refresh: refresh.secret, refresh_expires_at })
}

fn no_random_bytes(error: getrandom::Error) -> Error {
    Error::Broken(format!("the operating system gave no random bytes: {error}"))
}

/// Opens a transaction inside the tenant that the request names, or one without a tenant.
async fn begin(services: &Services, ctx: &RequestContext, user: Option<UserId>) -> Result<DoorTx, Error> {
    let Some(tenant) = &ctx.tenant else {
        return Ok(DoorTx::Alone(services.db.person(user, &ctx.stats).await?));
    };
    let scope =
        Scope { tenant: tenant.id, user, actor: ctx.actor().1, request: ctx.request, stats: Arc::clone(&ctx.stats) };
    Ok(DoorTx::Inside(services.db.begin(&scope).await?))
}

/// Commits, with an entry in the tenant's audit log if there is a tenant and the person is a member of it.
async fn end(tx: DoorTx, ctx: &RequestContext, record: Option<Record>) -> Result<(), Error> {
    match tx {
        DoorTx::Alone(tx) => tx.commit().await?,
        DoorTx::Inside(tx) => {
            if let Some(record) = record {
                put_on_record(&tx, ctx, record).await?;
            }
            tx.commit().await?;
        }
    }
    Ok(())
}

async fn put_on_record(tx: &WriteTx, ctx: &RequestContext, record: Record) -> Result<(), Error> {
    let now = ctx.now();
    let principal = Principal::Person { user: record.user, session: record.session };
    let Some(membership) = membership::load(tx, &principal, now).await? else { return Ok(()) };
    let who = RequestContext { principal, membership: Some(Arc::new(membership)), ..ctx.clone() };
    let entry = Entry::of(&who, AuditLogId::new(now), now, record.action.name(), record.outcome)
        .target(Some(Target::new("session", record.session)))
        .detail(record.detail);
    audit::store::insert(tx, entry).await?;
    Ok(())
}
