//! What an operation cost the database, told to those who run the server: it is added to its tenant's share, and it gets a
//! line in the log where it was slow.
//!
//! What must always hold: names, ids and figures only. Documents, variables and values of statements stay out; the text
//! of a statement is the program's own, and its plan is made without values.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::Instrument;

use super::pipeline::Known;
use crate::{
    config::TelemetrySettings,
    db::{Db, Scope, Stats, TracedStatement},
    domain::error::chain,
    ids::{RequestId, TenantId},
    telemetry::{Shares, SqlFigures},
};

/// How often plans are asked for at most: each costs a connection.
const PLANS_EVERY: Duration = Duration::from_secs(10);

/// What is told, for all operations of a server.
pub(super) struct Watch {
    slow: Option<Duration>,
    plans: Option<Plans>,
    shares: Arc<Shares>,
}

struct Plans {
    db: Db,
    last: Mutex<Option<Instant>>,
}

impl Watch {
    pub(super) fn new(settings: &TelemetrySettings, db: &Db) -> Self {
        let slow = Some(Duration::from_millis(settings.slow_operation_ms)).filter(|time| !time.is_zero());
        let plans = settings.slow_operation_plans && slow.is_some();
        Self {
            slow,
            plans: plans.then(|| Plans { db: db.clone(), last: Mutex::default() }),
            shares: Arc::new(Shares::new(Instant::now())),
        }
    }

    pub(super) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Where an operation's statements are counted.
    pub(super) fn stats(&self) -> Arc<Stats> {
        Arc::new(if self.plans.is_some() { Stats::traced() } else { Stats::default() })
    }

    /// Watches an operation until the returned value is dropped, also when its future is.
    pub(super) fn begin(&self, stats: &Arc<Stats>, request: RequestId, known: Known) -> Watched<'_> {
        Watched { watch: self, stats: Arc::clone(stats), request, began: Instant::now(), is_answered: false, known }
    }
}

/// An operation that runs.
pub(super) struct Watched<'w> {
    watch: &'w Watch,
    stats: Arc<Stats>,
    request: RequestId,
    began: Instant,
    is_answered: bool,
    pub(super) known: Known,
}

impl Watched<'_> {
    /// The answer is there: not cut off by the deadline, or by a client that went away.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }

    fn tell(&self, took: Duration, sql: &SqlFigures, tenant: Option<TenantId>) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        tracing::warn!(
            operation = self.operation(),
            tenant.id = tenant.map(tracing::field::display),
            request.id = %self.request,
            duration_ms = milliseconds(took),
            sql_ms = milliseconds(sql.waited),
            pool_wait_ms = milliseconds(sql.queued),
            statements = sql.statements,
            flights = sql.flights,
            rows = sql.rows,
            is_answered = self.is_answered,
            "slow operation"
        );
        if let Some(plans) = &self.watch.plans {
            let scope = tenant.map(|tenant| Scope {
                tenant,
                user: None,
                actor: None,
                request: self.request,
                stats: Arc::default(),
            });
            plans.tell(scope, self.operation().to_owned(), self.stats.slowest());
        }
    }

    fn operation(&self) -> &str {
        match self.known.operation.as_deref() {
            None => "anonymous",
            Some(name) if name.len() > 64 => "other",
            Some(name) => name,
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let (sql, now) = (self.stats.figures(), Instant::now());
        let tenant = self.known.tenant.as_ref().map(|tenant| tenant.id);
        self.watch.shares.add(now, tenant, self.known.operation.as_deref(), &sql);
        let took = now - self.began;
        if self.watch.slow.is_some_and(|slow| took >= slow) {
            self.tell(took, &sql, tenant);
        }
    }
}

impl Plans {
    /// Logs how PostgreSQL runs these statements; beside the requests, and not for each of a flood of slow ones.
    fn tell(&self, scope: Option<Scope>, operation: String, statements: Vec<TracedStatement>) {
        if statements.is_empty() || !self.is_due() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let db = self.db.clone();
        let telling = async move {
            for TracedStatement { text, took } in statements {
                let duration_ms = took.as_secs_f64() * 1000.0;
                match db.plan(scope.as_ref(), &text).await {
                    Ok(plan) => tracing::warn!(operation, duration_ms, statement = text, plan, "slow statement"),
                    Err(error) => {
                        tracing::warn!(
                            operation,
                            duration_ms,
                            statement = text,
                            no_plan = chain(&error),
                            "slow statement"
                        )
                    }
                }
            }
        };
        runtime.spawn(telling.in_current_span());
    }

    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= PLANS_EVERY);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}
