//! One transaction on one connection: how it begins, what runs on it, how it ends.
//!
//! `BEGIN`, the settings and the first statement leave in one flight. A transaction that ends any other way than
//! commit or rollback takes its connection with it: the connection is closed, never reused, and a statement that
//! may still be running is cancelled. Everything here is private to `db`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::SeqCst},
};

use diesel::{
    deserialize::FromSqlRow,
    expression::QueryMetadata,
    pg::Pg,
    query_builder::{Query, QueryFragment, QueryId},
    query_dsl::CompatibleType,
    result::QueryResult,
};
use diesel_async::{
    AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection, pooled_connection::deadpool::Object,
};
use futures::{TryStreamExt, future::BoxFuture};

use super::{DbError, pool::Tls};
use crate::ids::{Id, UserId};

/// What one request cost the database so far; shared by all of its transactions.
#[derive(Debug, Default)]
pub struct Stats {
    statements: AtomicU32,
    flights: AtomicU32,
    rows: AtomicU32,
    holding: AtomicU32,
}

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

    /// Marks that the request holds a connection now; refuses if it holds one already, because a request that waits
    /// for a second connection while holding the first can starve the pool for ever.
    pub(super) fn hold(self: &Arc<Self>) -> Result<Holding, DbError> {
        match self.holding.compare_exchange(0, 1, SeqCst, SeqCst) {
            Ok(_) => Ok(Holding(Arc::clone(self))),
            Err(_) => Err(DbError::WaitsWhileHolding),
        }
    }
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
        let rows = AsyncConnectionCore::load(&mut connection, query);
        Box::pin(self.run(as_person, async move {
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
        let done = AsyncConnectionCore::execute_returning_count(&mut connection, query);
        Box::pin(self.run(false, done))
    }

    /// Sends a text without parameters as a message of its own, and counts it as part of the preamble.
    async fn send(&self, text: &str) -> QueryResult<()> {
        let mut connection = self.connection().map_err(|_| diesel::result::Error::AlreadyInTransaction)?;
        SimpleAsyncConnection::batch_execute(&mut connection, text).await
    }

    /// Runs one statement; the first one of the transaction carries the preamble with it.
    async fn run<R>(&self, as_person: bool, statement: impl Future<Output = QueryResult<R>>) -> Result<R, DbError> {
        let running = Running::enter(self);
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
        self.run(false, self.send(text)).await
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
                self.send("COMMIT").await.map_err(DbError::from)?;
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
    finished: bool,
}

impl<'c> Running<'c> {
    fn enter(core: &'c Core) -> Self {
        core.stats.statements.fetch_add(1, SeqCst);
        if core.in_flight.fetch_add(1, SeqCst) == 0 {
            core.stats.flights.fetch_add(1, SeqCst);
        }
        Self { core, finished: false }
    }

    fn done(mut self) {
        self.finished = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.core.in_flight.fetch_sub(1, SeqCst);
        if !self.finished {
            self.core.abandoned.store(true, SeqCst);
        }
    }
}
