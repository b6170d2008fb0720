//! What subscribers get: rows of the outbox and of the audit log, in the order in which they were committed.
//!
//! What must always hold:
//! - a notice only wakes; rows are read inside a transaction of the tenant, so the walls are those of every read;
//! - nothing is missed: rows are read by the number of their transaction, below the oldest one that still runs, so a
//!   transaction that commits later cannot slip in behind the reader ([`feed`]);
//! - rights are asked for again at every event, and they are never older than the rows it came with ([`Subscriber`]);
//! - one subscriber's pace is no other's: whoever does not keep up falls out of the common reading and goes on alone.
//!
//! Start reading at [`Live`], then [`feed::Feeds`].

pub mod feed;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::{broadcast, watch};

use super::{audit::feed::AuditEntries, tasks::feed::TaskEvents};
use crate::{
    access::Permission,
    clock::Clock,
    context::RequestContext,
    db::Db,
    ids::{SessionId, TenantId, UserId},
};
use feed::Feeds;

/// Changes that may wait for one socket; whoever falls behind takes everything for changed.
const CHANGES: usize = 1024;

/// What may be different now for somebody who has a socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Rights or state of this tenant.
    Tenant(TenantId),
    /// This session has ended.
    Session(SessionId),
    /// This person was locked, or let in again.
    User(UserId),
    /// Notices may have been missed.
    Everything,
}

/// What sockets and subscriptions wait for.
#[derive(Clone)]
pub struct Live {
    changes: broadcast::Sender<Change>,
    /// Events about tasks, out of the outbox.
    pub tasks: Feeds<TaskEvents>,
    /// Entries of the audit log.
    pub audit: Feeds<AuditEntries>,
}

impl Live {
    /// Nobody waits yet.
    pub fn new(db: &Db, clock: &Clock) -> Self {
        Self { changes: broadcast::channel(CHANGES).0, tasks: Feeds::new(db, clock), audit: Feeds::new(db, clock) }
    }

    /// Tells every socket, after the caches have forgotten what has changed.
    pub fn changed(&self, change: Change) {
        // Nobody listening is no mistake.
        let _ = self.changes.send(change);
    }

    /// What changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Reads on everywhere: notices may have been missed.
    pub fn wake_all(&self) {
        self.tasks.wake_all();
        self.audit.wake_all();
    }
}

/// Whoever has a socket open, as the subscriptions on it see them.
pub trait Subscriber: Send + Sync + 'static {
    /// Who it is and what they may do now, by rights of this version or a later one. `None` when they are not admitted any
    /// more: the socket is being closed then.
    fn current(&self, version: i64) -> BoxFuture<'_, Option<Arc<RequestContext>>>;

    /// The same, as far as is known; changes when the rights may have changed.
    fn rights(&self) -> watch::Receiver<Arc<RequestContext>>;

    /// A turn in the tenant's lane, for the reads of one event; given back when it is dropped.
    fn turn(&self) -> BoxFuture<'_, Box<dyn Send>>;

    /// Closes the socket, because a subscription needs a right that is gone.
    fn lost(&self, permission: Permission);

    /// Closes the socket, because it is an hour behind.
    fn fell_behind(&self);
}
