//! One transaction on one connection: how it begins, what runs on it, how it ends.
//!
//! `BEGIN`, the settings and the first statement leave in one flight. A transaction that ends any other way than
//! commit or rollback takes its connection with it: the connection is closed, never reused, and a statement that
//! may still be running is cancelled. Everything here is private to `db`.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use diesel::{
    deserialize::FromSqlRow,
    expression::QueryMetadata,
    pg::{Pg, PgQueryBuilder},
    query_builder::{Query, QueryBuilder, QueryFragment, QueryId},
    query_dsl::CompatibleType,
    result::QueryResult,
};
use diesel_async::{
    AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection, pooled_connection::deadpool::Object,
};
use futures::{TryStreamExt, future::BoxFuture};

use super::{DbError, pool::Tls};
use crate::{
    ids::{Id, UserId},
    telemetry::SqlFigures,
};

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

    fn trace(&self, text: String, took: Duration) {
        let Some(slowest) = &self.slowest else { return };
        let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
        slowest.push(TracedStatement { text, took });
        slowest.sort_by_key(|statement| std::cmp::Reverse(statement.took));
        slowest.truncate(SLOWEST);
    }

    fn waited_for(&self, time: Duration) {
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

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Proof that a request holds its one connection.
pub(super) struct Holding(Arc<Stats>);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.holding.store(0, SeqCst);
    }
}

const FRESH: u8 = 0;
const OPEN: u8 = 1;
const FAILED: u8 = 2;
/// Failed because the connection was lost.
const LOST: u8 = 3;

/// A transaction that has not ended.
pub(super) struct Core {
    connection: Option<Object<AsyncPgConnection>>,
    /// `BEGIN` and each setting, one message each: a distributed PostgreSQL forwards the whole text of a message.
    preamble: Vec<String>,
    /// Who may be asked for as a person on this transaction; the setting is sent with the first such statement.
    user: Option<UserId>,
    user_is_set: AtomicBool,
    state: AtomicU8,
    in_flight: AtomicU32,
    /// When the flight that is under way has left, in nanoseconds since `opened`.
    left_at: AtomicU64,
    opened: Instant,
    abandoned: AtomicBool,
    stats: Arc<Stats>,
    tls: Tls,
    holding: Option<Holding>,
}

impl Core {
    pub(super) fn new(
        connection: Object<AsyncPgConnection>,
        preamble: Vec<String>,
        user: Option<UserId>,
        stats: Arc<Stats>,
        holding: Holding,
        tls: Tls,
    ) -> Self {
        Self {
            connection: Some(connection),
            preamble,
            user,
            user_is_set: AtomicBool::new(false),
            state: AtomicU8::new(FRESH),
            in_flight: AtomicU32::new(0),
            left_at: AtomicU64::new(0),
            opened: Instant::now(),
            abandoned: AtomicBool::new(false),
            stats,
            tls,
            holding: Some(holding),
        }
    }

    pub(super) fn user(&self) -> Option<UserId> {
        self.user
    }

    /// From here on the request waits for nothing on this connection, so it may ask for another one.
    pub(super) fn let_go(&mut self) {
        self.holding = None;
    }

    fn connection(&self) -> Result<&AsyncPgConnection, DbError> {
        self.connection.as_deref().ok_or(DbError::Aborted)
    }

    pub(super) fn load<'t, Q, U, ST>(&'t self, query: Q) -> BoxFuture<'t, Result<Vec<U>, DbError>>
    where
        Q: Query + QueryFragment<Pg> + QueryId,
        Pg: QueryMetadata<Q::SqlType>,
        Q::SqlType: CompatibleType<U, Pg, SqlType = ST>,
        U: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
    {
        self.load_as(query, false)
    }

    /// `as_person`: the statement reads tables whose policies ask for the person behind the request.
    pub(super) fn load_as<'t, Q, U, ST>(&'t self, query: Q, as_person: bool) -> BoxFuture<'t, Result<Vec<U>, DbError>>
    where
        Q: Query + QueryFragment<Pg> + QueryId,
        Pg: QueryMetadata<Q::SqlType>,
        Q::SqlType: CompatibleType<U, Pg, SqlType = ST>,
        U: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
    {
        let mut connection = match self.connection() {
            Ok(connection) => connection,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let text = self.text(&query);
        let rows = AsyncConnectionCore::load(&mut connection, query);
        Box::pin(self.run(as_person, text, async move {
            rows.await?
                .and_then(|row| {
                    std::future::ready(U::build_from_row(&row).map_err(diesel::result::Error::DeserializationError))
                })
                .try_collect::<Vec<U>>()
                .await
                .inspect(|rows| {
                    self.stats.rows.fetch_add(u32::try_from(rows.len()).unwrap_or(u32::MAX), SeqCst);
                })
        }))
    }

    pub(super) fn execute<'t, Q>(&'t self, query: Q) -> BoxFuture<'t, Result<usize, DbError>>
    where
        Q: QueryFragment<Pg> + QueryId,
    {
        let mut connection = match self.connection() {
            Ok(connection) => connection,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let text = self.text(&query);
        let done = AsyncConnectionCore::execute_returning_count(&mut connection, query);
        Box::pin(self.run(false, text, done))
    }

    /// The statement's text, where the request keeps its slowest ones.
    fn text(&self, query: &impl QueryFragment<Pg>) -> Option<String> {
        self.stats.slowest.as_ref()?;
        let mut text = PgQueryBuilder::default();
        query.to_sql(&mut text, &Pg).ok()?;
        Some(text.finish())
    }

    /// Sends a text without parameters as a message of its own, and counts it as part of the preamble.
    async fn send(&self, text: &str) -> QueryResult<()> {
        let mut connection = self.connection().map_err(|_| diesel::result::Error::AlreadyInTransaction)?;
        SimpleAsyncConnection::batch_execute(&mut connection, text).await
    }

    /// Runs one statement; the first one of the transaction carries the preamble with it.
    async fn run<R>(
        &self,
        as_person: bool,
        text: Option<String>,
        statement: impl Future<Output = QueryResult<R>>,
    ) -> Result<R, DbError> {
        let running = Running::enter(self, text);
        if let Some(refusal) = self.refusal() {
            running.done();
            return Err(refusal);
        }
        let first = self.state.compare_exchange(FRESH, OPEN, SeqCst, SeqCst).is_ok();
        let become_person = as_person && !self.user_is_set.swap(true, SeqCst);
        let result = if first || become_person {
            let user = become_person.then_some(self.user).flatten();
            let person = user.map(|user| format!("SET LOCAL app.user_id = '{}'", user.uuid()));
            let texts: &[String] = if first { &self.preamble } else { &[] };
            let before = futures::future::try_join_all(texts.iter().chain(&person).map(|text| self.send(text)));
            // Polled in this order, so they leave in this order, in one flight.
            let (before, result) = futures::future::join(before, statement).await;
            before.and(result)
        } else {
            statement.await
        };
        running.done();
        result.map_err(|error| {
            let error = DbError::from(error);
            let lost = matches!(error, DbError::Unavailable(_));
            self.state.store(if lost { LOST } else { FAILED }, SeqCst);
            error
        })
    }

    /// Why no further statement may run. A lost connection stays "come again later" for whoever asks next.
    fn refusal(&self) -> Option<DbError> {
        match self.state.load(SeqCst) {
            FAILED => Some(DbError::Aborted),
            LOST => Some(DbError::Unavailable("the connection was lost in this transaction".into())),
            _ => None,
        }
    }

    /// Sends fixed texts (`SAVEPOINT`, locks) in order, in one flight with what is polled beside it.
    pub(super) async fn control(&self, text: &str) -> Result<(), DbError> {
        self.run(false, None, self.send(text)).await
    }

    /// Forgets a failure that a `ROLLBACK TO SAVEPOINT` has undone.
    pub(super) async fn roll_back_to(&self, savepoint: &str) -> Result<(), DbError> {
        self.state.store(OPEN, SeqCst);
        self.control(&format!("ROLLBACK TO SAVEPOINT {savepoint}")).await
    }

    /// Commits and gives the connection back.
    ///
    /// Consumes the transaction that every statement borrows, so `COMMIT` cannot overtake a statement that still
    /// waits for its preparation.
    pub(super) async fn commit(mut self) -> Result<(), DbError> {
        match self.state.load(SeqCst) {
            FRESH => {
                drop(self.connection.take());
                Ok(())
            }
            OPEN if !self.abandoned.load(SeqCst) => {
                let left = Instant::now();
                let sent = self.send("COMMIT").await;
                if self.holding.is_some() {
                    self.stats.waited_for(left.elapsed());
                }
                sent.map_err(DbError::from)?;
                drop(self.connection.take());
                Ok(())
            }
            // PostgreSQL answers OK to the COMMIT of a failed transaction, so it must not be asked.
            _ => Err(self.refusal().unwrap_or(DbError::Aborted)),
        }
    }

    pub(super) async fn roll_back(mut self) -> Result<(), DbError> {
        match self.state.load(SeqCst) {
            FRESH => {}
            _ if self.abandoned.load(SeqCst) => return Ok(()),
            _ => self.send("ROLLBACK").await.map_err(DbError::from)?,
        }
        drop(self.connection.take());
        Ok(())
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.state.load(SeqCst) == FRESH && !self.abandoned.load(SeqCst) {
            return; // nothing was sent; the pool may have it back
        }
        let connection = Object::take(connection);
        let runs_on = self.abandoned.load(SeqCst) || self.in_flight.load(SeqCst) > 0;
        if runs_on && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (cancel, tls) = (connection.cancel_token(), self.tls.clone());
            runtime.spawn(async move { tls.cancel(cancel).await });
        }
        drop(connection); // closes the socket
    }
}

/// Counts a statement while it runs, and notices when its future was dropped before the answer came.
struct Running<'c> {
    core: &'c Core,
    text: Option<String>,
    entered: Duration,
    finished: bool,
}

impl<'c> Running<'c> {
    fn enter(core: &'c Core, text: Option<String>) -> Self {
        let entered = core.opened.elapsed();
        core.stats.statements.fetch_add(1, SeqCst);
        if core.in_flight.fetch_add(1, SeqCst) == 0 {
            core.stats.flights.fetch_add(1, SeqCst);
            core.left_at.store(nanoseconds(entered), SeqCst);
        }
        Self { core, text, entered, finished: false }
    }

    fn done(mut self) {
        self.finished = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let now = self.core.opened.elapsed();
        if self.core.in_flight.fetch_sub(1, SeqCst) == 1 {
            let left = Duration::from_nanos(self.core.left_at.load(SeqCst));
            self.core.stats.waited_for(now.saturating_sub(left));
        }
        if let Some(text) = self.text.take() {
            self.core.stats.trace(text, now.saturating_sub(self.entered));
        }
        if !self.finished {
            self.core.abandoned.store(true, SeqCst);
        }
    }
}
