//! Refusals on their way into the audit log: after the answer, through a bounded queue.
//!
//! A refused mutation has no transaction of its own to ride in. Waiting for one would let anybody slow the server down
//! with forbidden requests, so the entry is queued; when the queue is full it is counted and logged instead.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, mpsc};

use super::{Entry, Outcome, store};
use crate::{
    context::{Principal, RequestContext},
    db::{Db, DbError, Scope, Stats},
    ids::AuditLogId,
};

const CAPACITY: usize = 1024;

struct Refusal {
    scope: Scope,
    entry: Entry,
    as_operator: bool,
}

/// Where refusals are handed in.
#[derive(Clone)]
pub struct RefusalQueue {
    sender: mpsc::Sender<Refusal>,
    open: Arc<Open>,
}

#[derive(Default)]
struct Open {
    count: AtomicUsize,
    changed: Notify,
}

impl RefusalQueue {
    /// Starts the writer on the current runtime. It ends when the last queue is dropped.
    pub fn start(db: Db) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Refusal>(CAPACITY);
        let open = Arc::new(Open::default());
        let done = Arc::clone(&open);
        tokio::spawn(async move {
            while let Some(refusal) = receiver.recv().await {
                if let Err(error) = write(&db, refusal).await {
                    metrics::counter!("tenantry_audit_refusals_lost_total").increment(1);
                    tracing::error!(error = %crate::domain::error::chain(&error), "a refusal could not be recorded");
                }
                done.count.fetch_sub(1, Ordering::SeqCst);
                done.changed.notify_waiters();
            }
        });
        Self { sender, open }
    }

    /// Queues the record of a refusal. Anonymous ones have no place in a tenant's log: they are counted and logged only.
    pub fn record(&self, ctx: &RequestContext, action: &str, outcome: Outcome, detail: serde_json::Value) {
        metrics::counter!("tenantry_refusals_total", "outcome" => outcome.as_str()).increment(1);
        tracing::info!(action, outcome = outcome.as_str(), "a mutation was refused");
        let Ok(mut scope) = ctx.scope() else { return };
        // The request's own counters are closed by the time the entry is written.
        scope.stats = Arc::new(Stats::default());
        let now = ctx.now();
        let entry = Entry::of(ctx, AuditLogId::new(now), now, action, outcome).detail(detail);
        let as_operator = matches!(ctx.principal, Principal::Operator { .. });
        self.open.count.fetch_add(1, Ordering::SeqCst);
        if self.sender.try_send(Refusal { scope, entry, as_operator }).is_err() {
            self.open.count.fetch_sub(1, Ordering::SeqCst);
            metrics::counter!("tenantry_audit_refusals_lost_total").increment(1);
            tracing::error!(action, "the queue of refusals is full; this one is not in the audit log");
        }
    }

    /// Waits until everything queued so far is written or lost.
    pub async fn drained(&self) {
        loop {
            let changed = self.open.changed.notified();
            if self.open.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

async fn write(db: &Db, refusal: Refusal) -> Result<(), DbError> {
    let tx = match refusal.as_operator {
        true => db.begin_as_operator(&refusal.scope).await?,
        false => db.begin(&refusal.scope).await?,
    };
    store::insert(&tx, refusal.entry).await?;
    tx.commit().await
}
