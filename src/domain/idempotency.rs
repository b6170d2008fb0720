//! `Idempotency-Key`: the effect of a mutation happens once, and a repetition gets the same payload.
//!
//! The key, a hash of the request and the payload's ids are stored in the transaction of the effect, for 24 hours.

use chrono::{DateTime, Duration, Utc};
use diesel::{ExpressionMethods, QueryDsl};

use super::{Error, Problem};
use crate::{
    context::{Idempotency, RequestContext},
    db::{WriteTx, tables::idempotency_keys},
    graphql::{codes::ErrorCode, error::ApiError},
};

/// How long a key is remembered.
pub const RETENTION: Duration = Duration::hours(24);

/// What the first request with this key came to.
pub enum Stored {
    /// It was done; the ids of its payload.
    Done(serde_json::Value),
    /// It was refused with these problems.
    Refused(Vec<Problem>),
}

/// Claims the key for this transaction; gives what is stored if the request was made before.
///
/// # Errors
/// `IDEMPOTENCY_IN_PROGRESS` while the first request runs, `IDEMPOTENCY_KEY_REUSED` for another request.
pub(super) async fn claim(
    tx: &WriteTx,
    ctx: &RequestContext,
    idempotency: &Idempotency,
    now: DateTime<Utc>,
) -> Result<Option<Stored>, Error> {
    let principal = ctx.principal.key();
    let lock = format!("{principal} {}", idempotency.key);
    if !tx.try_lock(lock.as_bytes()).await? {
        return Err(ApiError::new(
            ErrorCode::IdempotencyInProgress,
            "The first request with this Idempotency-Key still runs. Try again in a moment.",
        )
        .retry_after(std::time::Duration::from_secs(1))
        .into());
    }
    let mine = || {
        idempotency_keys::in_tenant(tx)
            .filter(idempotency_keys::principal.eq(principal.clone()))
            .filter(idempotency_keys::key.eq(idempotency.key.clone()))
    };
    let found: Option<(Vec<u8>, Option<serde_json::Value>, DateTime<Utc>)> = mine()
        .select((idempotency_keys::request_hash, idempotency_keys::response, idempotency_keys::expires_at))
        .first()
        .await?;
    match found {
        Some((hash, _, expires_at)) if now < expires_at && hash != idempotency.request_hash => Err(ApiError::new(
            ErrorCode::IdempotencyKeyReused,
            "This Idempotency-Key was used for another request. Use a fresh key for every new request.",
        )
        .into()),
        Some((_, Some(response), expires_at)) if now < expires_at => read(response).map(Some),
        // Expired.
        Some(_) => {
            mine()
                .set(
                    tx,
                    (
                        idempotency_keys::request_hash.eq(idempotency.request_hash.to_vec()),
                        idempotency_keys::response.eq(None::<serde_json::Value>),
                        idempotency_keys::created_at.eq(now),
                        idempotency_keys::expires_at.eq(now + RETENTION),
                    ),
                )
                .execute()
                .await?;
            Ok(None)
        }
        None => {
            idempotency_keys::insert(
                tx,
                (
                    idempotency_keys::principal.eq(principal),
                    idempotency_keys::key.eq(idempotency.key.clone()),
                    idempotency_keys::request_hash.eq(idempotency.request_hash.to_vec()),
                    idempotency_keys::created_at.eq(now),
                    idempotency_keys::expires_at.eq(now + RETENTION),
                ),
            )
            .execute()
            .await?;
            Ok(None)
        }
    }
}

/// Stores what the request came to.
pub(super) async fn keep(
    tx: &WriteTx,
    ctx: &RequestContext,
    idempotency: &Idempotency,
    response: serde_json::Value,
) -> Result<(), Error> {
    idempotency_keys::in_tenant(tx)
        .filter(idempotency_keys::principal.eq(ctx.principal.key()))
        .filter(idempotency_keys::key.eq(idempotency.key.clone()))
        .set(tx, idempotency_keys::response.eq(Some(response)))
        .execute()
        .await?;
    Ok(())
}

fn read(mut response: serde_json::Value) -> Result<Stored, Error> {
    let broken = |error: serde_json::Error| Error::Broken(format!("a stored payload cannot be read: {error}"));
    match response.get_mut("userErrors").map(serde_json::Value::take) {
        Some(problems) => serde_json::from_value(problems).map(Stored::Refused).map_err(broken),
        None => Ok(Stored::Done(response.get_mut("key").map(serde_json::Value::take).unwrap_or_default())),
    }
}
