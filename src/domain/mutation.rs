//! What every change has in common: current rights, one transaction, one audit entry, its events, once per key.
//!
//! Order inside the transaction: the tenant's rights are held still (a shared advisory lock), the rights are read again
//! if they have changed since the request began, the change is made, the audit entry and the events are written, and
//! `COMMIT` leaves with them. A change of rights takes the same lock exclusively, so nothing is written after a demotion has
//! committed.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Error, Problem, Services,
    audit::{self, AccessChange, Action, Entry, Event, Target},
};
use crate::{
    access::{On, Permission, PermissionSet},
    context::{Denied, Membership, Principal, RequestContext, TenantStatus, membership},
    db::{DbError, WriteTx},
    graphql::{codes::ErrorCode, error::ApiError},
    ids::{AuditLogId, EventId, Id},
};

/// What a mutation made or changed, and how a repetition finds it again.
pub trait Effect {
    /// The ids that a replay renders from; never a secret.
    type Key: Serialize + DeserializeOwned + Send + Sync;
    /// The ids of this effect.
    fn key(&self) -> Self::Key;
}

/// The outcome of a mutation.
#[derive(Debug)]
pub enum Written<T: Effect> {
    /// It was done now.
    Now(T),
    /// It had been done before under the same idempotency key.
    Replayed(T::Key),
}

/// A mutation in progress.
pub struct Work<'w> {
    /// Its transaction.
    pub tx: &'w WriteTx,
    /// The request.
    pub ctx: &'w RequestContext,
    membership: Option<Arc<Membership>>,
    now: DateTime<Utc>,
    record: Mutex<Record>,
    last: Mutex<Vec<BoxFuture<'w, Result<(), DbError>>>>,
}

#[derive(Default)]
struct Record {
    target: Option<Target>,
    detail: serde_json::Map<String, serde_json::Value>,
    events: Vec<Event>,
    rights_changed: bool,
    used: PermissionSet,
    access_changes: Vec<AccessChange>,
}

impl<'w> Work<'w> {
    /// Leaves one statement to the end, where it shares a flight with the audit entry, the events and `COMMIT`. For what
    /// nothing depends on but the commit: a failure undoes the mutation.
    pub fn lastly(&self, statement: impl Future<Output = Result<(), DbError>> + Send + 'w) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(statement));
    }

    /// The instant of this mutation: every row it writes has the same.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Whether the principal holds the permission there, by the rights this transaction has read.
    pub fn can(&self, permission: Permission, on: On) -> bool {
        match &self.ctx.principal {
            Principal::Operator { .. } => true,
            _ => self.membership.as_ref().is_some_and(|membership| membership.rights.allows(permission, on)),
        }
    }

    /// Refuses unless the principal holds the permission there; the audit entry says that it was used.
    ///
    /// # Errors
    /// [`Denied`] names the missing permission.
    pub fn require(&self, permission: Permission, on: On) -> Result<(), Denied> {
        if !self.can(permission, on) {
            return Err(Denied { permission });
        }
        self.record().used.insert(permission);
        Ok(())
    }

    /// The rights this transaction has read.
    pub fn membership(&self) -> Option<&Membership> {
        self.membership.as_deref()
    }

    fn take_last(&self) -> Vec<BoxFuture<'w, Result<(), DbError>>> {
        std::mem::take(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names what the mutation is about, for the audit entry.
    pub fn target(&self, target: Target) {
        self.record().target = Some(target);
    }

    /// Adds a detail to the audit entry: ids and names of fields, never personal data or secrets.
    pub fn detail(&self, name: &str, value: impl Serialize) {
        if let Ok(value) = serde_json::to_value(value) {
            self.record().detail.insert(name.to_owned(), value);
        }
    }

    /// Adds an outgoing event, written with the change.
    pub fn event(&self, event: Event) {
        self.record().events.push(event);
    }

    /// Says who gains or loses which rights by this mutation, for the permission audit.
    pub fn access_changed(&self, change: AccessChange) {
        self.record().access_changes.push(change);
    }

    /// Says that somebody's rights are different from now on; cached ones are dropped after the commit.
    pub fn rights_changed(&self) {
        self.record().rights_changed = true;
    }
}

/// Runs one mutation: see the module for what surrounds `change`.
///
/// # Errors
/// [`Error::Rejected`] with the caller's mistakes and [`Error::Denied`]: nothing of the effect is written, the refusal is
/// recorded after the answer. [`Error::Db`] if the database failed.
pub async fn run<T, F>(
    services: &Services,
    ctx: &RequestContext,
    action: Action,
    change: F,
) -> Result<Written<T>, Error>
where
    T: Effect + Send,
    F: AsyncFnOnce(&Work<'_>) -> Result<T, Error>,
{
    run_ahead(services, ctx, action, async |_| Ok(()), async |work, ()| change(work).await).await
}

/// The same for a change that begins with reads which depend on nobody's rights: `ahead` shares the first flight with the
/// lock and the version of the rights. What it finds is shown to nobody before `change` has asked for the right to see it.
///
/// # Errors
/// As [`run`].
pub async fn run_ahead<T, A, R, F>(
    services: &Services,
    ctx: &RequestContext,
    action: Action,
    ahead: R,
    change: F,
) -> Result<Written<T>, Error>
where
    T: Effect + Send,
    R: AsyncFnOnce(&WriteTx) -> Result<A, DbError>,
    F: AsyncFnOnce(&Work<'_>, A) -> Result<T, Error>,
{
    // On the heap: the futures of all mutations lie inside each other's in the engine, and their sizes would add up.
    let outcome = Box::pin(attempt(services, ctx, action, ahead, change)).await;
    if let Err(error) = &outcome
        && let Some((kind, detail)) = refusal(error)
    {
        services.refusals.record(ctx, action.name(), kind, detail);
    }
    outcome
}

/// What the audit log says of an error; `None` for failures of ours, which are in the log of the server.
fn refusal(error: &Error) -> Option<(audit::Outcome, serde_json::Value)> {
    match error {
        Error::Denied(denied) => {
            Some((audit::Outcome::Denied, serde_json::json!({ "requiredPermission": denied.permission })))
        }
        Error::Rejected(problems) => {
            let codes: Vec<_> = problems.iter().map(|problem| problem.code.as_str()).collect();
            Some((audit::Outcome::Error, serde_json::json!({ "userErrors": codes })))
        }
        Error::Api(error) => Some((audit::Outcome::Denied, serde_json::json!({ "code": error.code.as_str() }))),
        Error::TenantRequired(_) | Error::Db(_) | Error::Broken(_) => None,
    }
}

async fn attempt<T, A, R, F>(
    services: &Services,
    ctx: &RequestContext,
    action: Action,
    ahead: R,
    change: F,
) -> Result<Written<T>, Error>
where
    T: Effect + Send,
    R: AsyncFnOnce(&WriteTx) -> Result<A, DbError>,
    F: AsyncFnOnce(&Work<'_>, A) -> Result<T, Error>,
{
    let tenant = ctx.tenant()?;
    if tenant.status == TenantStatus::ReadOnly {
        return Err(
            ApiError::new(ErrorCode::TenantReadOnly, "The tenant can be read and not changed at present.").into()
        );
    }
    let scope = ctx.scope()?;
    let tx = match ctx.principal {
        Principal::Operator { .. } => services.db.begin_as_operator(&scope).await?,
        _ => services.db.begin(&scope).await?,
    };
    let now = ctx.now();
    match within(&tx, ctx, action, now, ahead, change).await {
        Ok((written, rights_changed)) => {
            tx.commit().await?;
            if rights_changed {
                services.forget_rights(scope.tenant);
            }
            Ok(written)
        }
        // What was refused under an idempotency key is stored, so that a repetition gets the same answer.
        Err(Stop::Kept(problems)) => {
            tx.commit().await?;
            Err(Error::Rejected(problems))
        }
        Err(Stop::Undo(error)) => {
            tx.roll_back().await;
            Err(error)
        }
    }
}

enum Stop {
    Kept(Vec<Problem>),
    Undo(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Undo(error.into())
    }
}

async fn within<T, A, R, F>(
    tx: &WriteTx,
    ctx: &RequestContext,
    action: Action,
    now: DateTime<Utc>,
    ahead: R,
    change: F,
) -> Result<(Written<T>, bool), Stop>
where
    T: Effect + Send,
    R: AsyncFnOnce(&WriteTx) -> Result<A, DbError>,
    F: AsyncFnOnce(&Work<'_>, A) -> Result<T, Error>,
{
    let lock = async {
        if action.changes_rights() { tx.lock_rights_exclusive().await } else { tx.lock_rights_shared().await }
    };
    // One flight. The version is read by a statement of its own, after the lock is held.
    let ((), version, found) = futures::try_join!(lock, crate::context::access_version(tx), ahead(tx))?;
    let membership = current_membership(tx, ctx, version, now).await?;
    let work = Work { tx, ctx, membership, now, record: Mutex::default(), last: Mutex::default() };
    let Some(idempotency) = &ctx.idempotency else {
        let effect = change(&work, found).await?;
        let changed = finish(&work, action).await?;
        return Ok((Written::Now(effect), changed));
    };
    if let Some(stored) = super::idempotency::claim(tx, ctx, idempotency, now).await? {
        idempotency.replayed.store(true, std::sync::atomic::Ordering::SeqCst);
        return match stored {
            super::idempotency::Stored::Done(key) => {
                let key = serde_json::from_value(key)
                    .map_err(|error| Error::Broken(format!("a stored payload cannot be read: {error}")))?;
                Ok((Written::Replayed(key), false))
            }
            super::idempotency::Stored::Refused(problems) => Err(Error::Rejected(problems).into()),
        };
    }
    let attempt = tx.attempt(async {
        let effect = change(&work, found).await?;
        futures::future::try_join_all(work.take_last()).await?;
        Ok(effect)
    });
    match attempt.await {
        Ok(effect) => {
            let key = serde_json::to_value(effect.key())
                .map_err(|error| Error::Broken(format!("a payload cannot be stored: {error}")))?;
            super::idempotency::keep(tx, ctx, idempotency, serde_json::json!({ "key": key })).await?;
            let changed = finish(&work, action).await?;
            Ok((Written::Now(effect), changed))
        }
        Err(Error::Rejected(problems)) => {
            super::idempotency::keep(tx, ctx, idempotency, serde_json::json!({ "userErrors": problems })).await?;
            Err(Stop::Kept(problems))
        }
        Err(error) => Err(error.into()),
    }
}

/// The membership as this transaction sees it: the cached one if the rights are still those, else read again.
async fn current_membership(
    tx: &WriteTx,
    ctx: &RequestContext,
    version: i64,
    now: DateTime<Utc>,
) -> Result<Option<Arc<Membership>>, Error> {
    if matches!(ctx.principal, Principal::Operator { .. }) {
        return Ok(None);
    }
    match &ctx.membership {
        Some(known) if known.rights.version == version && known.valid_until.is_none_or(|end| now < end) => {
            Ok(Some(Arc::clone(known)))
        }
        _ => match membership::load(tx, &ctx.principal, now).await? {
            Some(read) => Ok(Some(Arc::new(read))),
            // Removed or suspended since the request began: to this principal the tenant does not exist.
            None => {
                Err(ApiError::new(ErrorCode::TenantNotFound, "There is no such tenant, or you do not belong to it.")
                    .into())
            }
        },
    }
}

/// Writes what was left to the end, the audit entry and the events in the last flight, with who gained and lost what; says
/// whether rights have changed.
async fn finish(work: &Work<'_>, action: Action) -> Result<bool, Error> {
    let record = std::mem::take(&mut *work.record());
    let entry = Entry::of(work.ctx, AuditLogId::new(work.now), work.now, action.name(), audit::Outcome::Success)
        .target(record.target)
        .used(record.used)
        .detail(serde_json::Value::Object(record.detail));
    let audit_id = entry.id;
    let events: Vec<_> = record.events.into_iter().map(|event| (EventId::new(work.now), event)).collect();
    let (tx, ctx, now, changes) = (work.tx, work.ctx, work.now, record.access_changes);
    // In this order: what the records are about stands first.
    let mut statements = work.take_last();
    statements.push(Box::pin(audit::store::insert(tx, entry)));
    statements.push(Box::pin(audit::store::insert_access_changes(tx, ctx, now, (audit_id, action.name()), changes)));
    statements.push(Box::pin(audit::store::insert_events(tx, ctx, now, audit_id, events)));
    tx.last(statements).await?;
    Ok(record.rights_changed || action.changes_rights())
}

/// The uuid of an id, for targets.
pub fn uuid_of(id: impl Id) -> uuid::Uuid {
    id.uuid()
}
