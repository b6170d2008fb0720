//! One transaction on one connection: how it begins, what runs on it, how it ends.
//!
//! `BEGIN`, the settings and the first statement leave in one flight. A transaction that ends any other way than
//! commit or rollback takes its connection with it: the connection is closed, never reused, and a statement that
//! may still be running is cancelled. Everything here is private to `db`.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use diesel::{
    connection::{Instrumentation, InstrumentationEvent},
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

use super::{
    DbError,
    pool::Tls,
    stats::{Holding, Stats, nanoseconds},
};
use crate::ids::{Id, UserId};

const FRESH: u8 = 0;
const OPEN: u8 = 1;
const FAILED: u8 = 2;
/// Failed because the connection was lost.
const LOST: u8 = 3;
/// `COMMIT` is on its way behind the last statements; no other may follow.
const ENDING: u8 = 4;
/// `COMMIT` has been answered.
const OVER: u8 = 5;

thread_local! {
    /// How many statements have begun to be prepared on this thread.
    static PREPARED: Cell<u64> = const { Cell::new(0) };
}

/// Told by diesel of every statement that a connection does not know yet. It is told within the poll that begins to prepare
/// it, so comparing the count before and after a poll says whether this very statement was meant.
pub(super) struct Preparations;

impl Instrumentation for Preparations {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::CacheQuery { .. } = event {
            PREPARED.set(PREPARED.get() + 1);
        }
    }
}

/// A transaction that has not ended.
pub(super) struct Core {
    connection: Option<Object<AsyncPgConnection>>,
    /// `BEGIN` and each setting, one message each: a distributed PostgreSQL forwards the whole text of a message.
    preamble: Vec<String>,
    /// Who may be asked for as a person on this transaction; the setting is sent with the first such statement.
    user: Option<UserId>,
    user_is_set: AtomicBool,
    state: AtomicU8,
    /// Whether a statement had to be prepared first: then it leaves later than it was asked for.
    prepares: AtomicBool,
    /// Whether rows were asked for, since this was last reset.
    reads_rows: AtomicBool,
    /// Whether `COMMIT` has left.
    commit_left: AtomicBool,
    /// Whether a statement came after `COMMIT` had left.
    is_short: AtomicBool,
    sent: AtomicU32,
    in_flight: AtomicU32,
    /// When the flight that is under way has left, in nanoseconds since `opened`.
    left_at: AtomicU64,
    opened: Instant,
    abandoned: AtomicBool,
    stats: Arc<Stats>,
    tls: Tls,
    _holding: Holding,
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
            prepares: AtomicBool::new(false),
            reads_rows: AtomicBool::new(false),
            commit_left: AtomicBool::new(false),
            is_short: AtomicBool::new(false),
            sent: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            left_at: AtomicU64::new(0),
            opened: Instant::now(),
            abandoned: AtomicBool::new(false),
            stats,
            tls,
            _holding: holding,
        }
    }

    pub(super) fn user(&self) -> Option<UserId> {
        self.user
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
        self.note_unkept(&query);
        self.reads_rows.store(true, SeqCst);
        let rows = AsyncConnectionCore::load(&mut connection, query);
        Box::pin(self.run(as_person, text, async move {
            rows.await?
                .and_then(|row| {
                    std::future::ready(U::build_from_row(&row).map_err(diesel::result::Error::DeserializationError))
                })
                .try_collect::<Vec<U>>()
                .await
                .inspect(|rows| {
                    self.stats.read(rows.len());
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
        self.note_unkept(&query);
        let done = AsyncConnectionCore::execute_returning_count(&mut connection, query);
        Box::pin(self.run(false, text, done))
    }

    /// The statement's text, where the request keeps its slowest ones.
    fn text(&self, query: &impl QueryFragment<Pg>) -> Option<String> {
        if !self.stats.is_traced() {
            return None;
        }
        let mut text = PgQueryBuilder::default();
        query.to_sql(&mut text, &Pg).ok()?;
        Some(text.finish())
    }

    /// A statement that is not kept is prepared each time, and nobody is told of it.
    fn note_unkept(&self, query: &impl QueryFragment<Pg>) {
        if !query.is_safe_to_cache_prepared(&Pg).unwrap_or(false) {
            self.prepares.store(true, SeqCst);
        }
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
        let statement = self.noting_preparation(statement);
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

    /// The same statement; notes if its first poll began to prepare it instead of sending it.
    async fn noting_preparation<R>(&self, statement: impl Future<Output = R>) -> R {
        // Without tokio's budget: a statement that gave way to other tasks would leave later than it seems to.
        let mut statement = pin!(tokio::task::unconstrained(statement));
        let mut is_first = true;
        poll_fn(|cx| {
            let before = PREPARED.get();
            let polled = statement.as_mut().poll(cx);
            if std::mem::take(&mut is_first) && PREPARED.get() != before {
                self.prepares.store(true, SeqCst);
            }
            polled
        })
        .await
    }

    /// Why no further statement may run. A lost connection stays "come again later" for whoever asks next.
    fn refusal(&self) -> Option<DbError> {
        match self.state.load(SeqCst) {
            FAILED => Some(DbError::Aborted),
            LOST => Some(DbError::Unavailable("the connection was lost in this transaction".into())),
            ENDING => {
                self.is_short.store(true, SeqCst);
                Some(DbError::Ended)
            }
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

    /// How many statements this transaction was asked for.
    pub(super) fn sent(&self) -> u32 {
        self.sent.load(SeqCst)
    }

    /// Sends `COMMIT` behind the statements that are under way, in one flight with them; none may follow. Does nothing if one
    /// of them may not have left yet, because it is prepared first: `COMMIT` would overtake it.
    pub(super) fn commit_ahead(&self) {
        if self.may_end() && !self.leave("COMMIT") {
            self.state.store(LOST, SeqCst);
        }
    }

    /// Whether `COMMIT` may leave now, behind what is under way. If so, no statement runs from here on.
    fn may_end(&self) -> bool {
        let all_left = !self.prepares.load(SeqCst) && !self.abandoned.load(SeqCst);
        let may = all_left && self.state.compare_exchange(OPEN, ENDING, SeqCst, SeqCst).is_ok();
        self.commit_left.fetch_or(may, SeqCst);
        may
    }

    /// Runs the last statements of the transaction, one for each future, with `COMMIT` in their flight if they could all
    /// leave at once. If one fails, PostgreSQL answers `COMMIT` by undoing the transaction.
    ///
    /// Statements whose rows are read keep `COMMIT` back: rows that cannot be read are a failure of ours, which PostgreSQL
    /// knows nothing about.
    pub(super) async fn last(&self, statements: Vec<BoxFuture<'_, Result<(), DbError>>>) -> Result<(), DbError> {
        self.reads_rows.store(false, SeqCst);
        let mut statements = pin!(futures::future::try_join_all(statements));
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(statements.as_mut().poll(cx))).await {
            return done.map(drop);
        }
        if self.reads_rows.load(SeqCst) || !self.may_end() {
            return statements.await.map(drop);
        }
        let (done, committed) = futures::future::join(statements, self.send("COMMIT")).await;
        done?;
        committed?;
        self.state.store(OVER, SeqCst);
        Ok(())
    }

    /// Whether a statement was refused because [`commit_ahead`](Self::commit_ahead) had come before it.
    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(SeqCst)
    }

    /// Sends a text that nobody waits for. Whatever is sent on this connection afterwards stands behind it. False if the
    /// connection is gone.
    fn leave(&self, text: &str) -> bool {
        // The first poll hands the text to the connection; the answer is read by whoever drives that.
        let sent = pin!(self.send(text));
        !matches!(sent.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }

    /// Ends a transaction that only read, and gives the connection back, without waiting for the answer to `COMMIT`: the
    /// next transaction on the connection stands behind it.
    pub(super) fn end(mut self) {
        let is_quiet = self.in_flight.load(SeqCst) == 0 && !self.abandoned.load(SeqCst);
        let has_ended = is_quiet
            && match self.state.load(SeqCst) {
                FRESH | ENDING => true,
                OPEN => self.leave("COMMIT"),
                _ => false,
            };
        if has_ended {
            drop(self.connection.take());
        }
    }

    /// Commits and gives the connection back.
    ///
    /// Consumes the transaction that every statement borrows, so `COMMIT` cannot overtake a statement that still
    /// waits for its preparation.
    pub(super) async fn commit(mut self) -> Result<(), DbError> {
        match self.state.load(SeqCst) {
            FRESH | OVER => {
                drop(self.connection.take());
                Ok(())
            }
            OPEN if !self.abandoned.load(SeqCst) => {
                let left = Instant::now();
                let sent = self.send("COMMIT").await;
                self.stats.waited_for(left.elapsed());
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
            _ if self.abandoned.load(SeqCst) || self.commit_left.load(SeqCst) => return Ok(()),
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
        core.sent.fetch_add(1, SeqCst);
        let opens_flight = core.in_flight.fetch_add(1, SeqCst) == 0;
        core.stats.sends(opens_flight);
        if opens_flight {
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
