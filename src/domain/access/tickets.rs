//! Tickets for downloads: a random token that works once, for ten minutes, for whoever asked for it in the same tenant.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::store;
use crate::{
    access::{On, Permission},
    context::RequestContext,
    domain::{
        Error, Services,
        audit::{Action, Target},
        mutation::{self, Effect, Written},
    },
};

/// How long a ticket waits to be fetched.
pub const TTL: Duration = Duration::minutes(10);

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// A ticket that was just made. The token is shown once.
#[derive(Debug)]
pub struct Ticket {
    /// What to fetch it with; a repetition of the request has none.
    pub token: Option<SecretString>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

impl Effect for Ticket {
    type Key = DateTime<Utc>;
    fn key(&self) -> DateTime<Utc> {
        self.expires_at
    }
}

/// Makes a ticket for a review of everybody's rights.
///
/// # Errors
/// [`Error::Denied`] without `audit_logs:export`; [`Error::Db`].
pub async fn create(services: &Services, ctx: &RequestContext) -> Result<Written<Ticket>, Error> {
    mutation::run(services, ctx, Action::AccessReviewExport, async |work| {
        work.require(Permission::AuditLogsExport, On::Tenant)?;
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::Broken(format!("the operating system gave no random bytes: {error}")))?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let expires_at = work.now() + TTL;
        store::delete_expired(work.tx, work.now()).await?;
        store::insert_ticket(work.tx, hash_of(&token), ctx.principal.key(), expires_at, work.now()).await?;
        work.target(Target::new("tenant", ctx.tenant()?.id));
        Ok(Ticket { token: Some(token.into()), expires_at })
    })
    .await
}

/// Takes the ticket with this token: true once, for the principal who asked for it, in the request's tenant, in time, while
/// they may still export. Everything else is the same answer.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn take(services: &Services, ctx: &RequestContext, token: &str) -> Result<bool, Error> {
    if token.len() > 64 || !ctx.can(Permission::AuditLogsExport, On::Tenant) {
        return Ok(false);
    }
    let tx = services.db.begin(&ctx.scope()?).await?;
    let taken = store::take_ticket(&tx, hash_of(token), ctx.principal.key(), ctx.now()).await?;
    tx.commit().await?;
    Ok(taken)
}

fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
