//! What a request costs the database, and the proof that it holds no more than one connection.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use super::DbError;
use crate::telemetry::SqlFigures;

/// What one request cost the database so far; shared by all of its transactions.
#[derive(Debug, Default)]
pub struct Stats {
    statements: AtomicU32,
    flights: AtomicU32,
    rows: AtomicU32,
    holding: AtomicU32,
    waited_ns: AtomicU64,
    queued_ns: AtomicU64,
    /// The slowest statements, where they are kept.
    slowest: Option<Mutex<Vec<TracedStatement>>>,
}

/// A statement as it was sent, without its values.
#[derive(Clone, Debug)]
pub struct TracedStatement {
    /// Its text, with `$1` in the place of values.
    pub text: String,
    /// From its leaving to its answer, or to the moment at which nobody waited for it any more.
    pub took: Duration,
}

/// How many of the slowest statements of a request are kept.
const SLOWEST: usize = 3;

impl Stats {
    /// SQL statements sent, without `BEGIN`, `SET LOCAL` and `COMMIT`.
    pub fn statements(&self) -> u32 {
        self.statements.load(SeqCst)
    }

    /// Times the request had to wait for PostgreSQL: statements that left together count once.
    pub fn flights(&self) -> u32 {
        self.flights.load(SeqCst)
    }

    /// Rows that came back.
    pub fn rows(&self) -> u32 {
        self.rows.load(SeqCst)
    }

    /// How long the request waited for PostgreSQL: statements that ran at the same time count once. What is not waited
    /// for, the end of a read, is not in it.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited_ns.load(SeqCst))
    }

    /// How long the request waited for free connections.
    pub fn queued(&self) -> Duration {
        Duration::from_nanos(self.queued_ns.load(SeqCst))
    }

    /// All of it.
    pub fn figures(&self) -> SqlFigures {
        SqlFigures {
            statements: self.statements(),
            flights: self.flights(),
            rows: self.rows(),
            waited: self.waited(),
            queued: self.queued(),
        }
    }

    /// A statement leaves, alone or at the head of a flight.
    pub(super) fn sends(&self, opens_flight: bool) {
        self.statements.fetch_add(1, SeqCst);
        if opens_flight {
            self.flights.fetch_add(1, SeqCst);
        }
    }

    /// So many rows came back.
    pub(super) fn read(&self, rows: usize) {
        self.rows.fetch_add(u32::try_from(rows).unwrap_or(u32::MAX), SeqCst);
    }

    pub(super) fn is_traced(&self) -> bool {
        self.slowest.is_some()
    }

    pub(super) fn queued_for(&self, time: Duration) {
        self.queued_ns.fetch_add(nanoseconds(time), SeqCst);
    }

    /// Figures that also keep the slowest statements. Each statement's text is built once more for that.
    pub fn traced() -> Self {
        Self { slowest: Some(Mutex::default()), ..Self::default() }
    }

    /// The slowest statements, the slowest first; none unless they are [`traced`](Self::traced).
    pub fn slowest(&self) -> Vec<TracedStatement> {
        let slowest = self.slowest.as_ref().map(|slowest| slowest.lock().unwrap_or_else(PoisonError::into_inner));
        slowest.map(|slowest| slowest.clone()).unwrap_or_default()
    }

    /// Keeps a statement that took so long, if statements are kept.
    pub(super) fn trace(&self, text: String, took: Duration) {
        let Some(slowest) = &self.slowest else { return };
        let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
        slowest.push(TracedStatement { text, took });
        slowest.sort_by_key(|statement| std::cmp::Reverse(statement.took));
        slowest.truncate(SLOWEST);
    }

    pub(super) fn waited_for(&self, time: Duration) {
        self.waited_ns.fetch_add(nanoseconds(time), SeqCst);
    }

    /// Marks that the request holds a connection now; refuses if it holds one already, because a request that waits
    /// for a second connection while holding the first can starve the pool for ever.
    pub(super) fn hold(self: &Arc<Self>) -> Result<Holding, DbError> {
        match self.holding.compare_exchange(0, 1, SeqCst, SeqCst) {
            Ok(_) => Ok(Holding(Arc::clone(self))),
            Err(_) => Err(DbError::WaitsWhileHolding),
        }
    }
}

/// What fits into 64 bits, which is 584 years.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Proof that a request holds its one connection.
pub(super) struct Holding(Arc<Stats>);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.holding.store(0, SeqCst);
    }
}
