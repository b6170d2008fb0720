//! One reader for each tenant with subscribers, whatever their number.
//!
//! The reader goes on from a [`Position`]: the number of the transaction, then the id. It takes rows of transactions
//! below the oldest one that still runs in the database server; those cannot be joined by others any more. What is
//! committed above that line waits, mostly for milliseconds, and the reader looks again. A subscriber that resumes reads
//! its past alone and joins the reader where that stands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, sql_types::BigInt};
use tokio::sync::{Notify, OnceCell, mpsc};
use uuid::Uuid;

use crate::{
    clock::Clock,
    context::access_version,
    db::{Db, DbError, Scope, Stats, TenantTx},
    domain::{Error, error::chain},
    graphql::{ApiError, ErrorCode},
    ids::{RequestId, TenantId, uuid_at},
};

/// How far back a subscriber may resume.
pub const RESUME: chrono::Duration = chrono::Duration::hours(1);
/// Rows of one read.
const PAGE: i64 = 100;
/// How often the reader looks by itself, should a notice be lost.
const POLL: Duration = Duration::from_secs(5);
/// How soon it looks again after it has begun: what was under way then may have seen no watch.
const FIRST: Duration = Duration::from_millis(100);
/// How soon it looks again for what waits for an older transaction; twice as late each time.
const AGAIN: Duration = Duration::from_millis(10);
/// Reads that may wait for one subscriber.
const QUEUE: usize = 64;
/// How long the tenant's writers announce what they write, and how often that is renewed.
const WATCH_SECONDS: i32 = 180;
const RENEW: Duration = Duration::from_secs(60);

/// A place in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The number of the transaction.
    pub xact: i64,
    /// The row.
    pub id: Uuid,
}

/// Rows with their places; `None` for a row that nobody waits for.
pub type Rows<T> = Vec<(Position, Option<T>)>;

/// What a feed is read from.
pub trait Source: Send + Sync + 'static {
    /// A row, with what every subscriber needs of it.
    type Item: Clone + Send + Sync + 'static;

    /// What it is called in the metrics.
    const NAME: &'static str;

    /// The rows behind `after` of transactions below `horizon`, in their order, whose ids are not below `floor`; `None`
    /// for a row that nobody waits for.
    fn page(
        tx: &TenantTx,
        after: Position,
        horizon: i64,
        floor: Uuid,
        limit: i64,
    ) -> impl Future<Output = Result<Rows<Self::Item>, DbError>> + Send;

    /// Whether there are rows of transactions at `horizon` or above.
    fn waits(tx: &TenantTx, horizon: i64, floor: Uuid) -> impl Future<Output = Result<bool, DbError>> + Send;

    /// Where the row with this id stands.
    fn position(tx: &TenantTx, id: Uuid) -> impl Future<Output = Result<Option<Position>, DbError>> + Send;
}

/// Rows that were read together.
#[derive(Debug)]
pub struct Batch<T> {
    /// The rows.
    pub items: Vec<(Position, T)>,
    /// The version of the tenant's rights in the same snapshot: no row may be shown by older ones.
    pub version: i64,
}

/// The feeds of one source, by tenant.
pub struct Feeds<S: Source>(Arc<Shared<S>>);

impl<S: Source> Clone for Feeds<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<S: Source> {
    db: Db,
    clock: Clock,
    feeds: Mutex<HashMap<TenantId, Arc<Feed<S>>>>,
}

struct Feed<S: Source> {
    tenant: TenantId,
    /// Where it began.
    start: OnceCell<Position>,
    wake: Notify,
    state: Mutex<State<S>>,
}

struct State<S: Source> {
    /// Everything up to here was handed out.
    position: Option<Position>,
    outlets: Vec<mpsc::Sender<Arc<Batch<S::Item>>>>,
    /// The reader has ended; who comes now needs another one.
    is_over: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Source> Feeds<S> {
    pub(super) fn new(db: &Db, clock: &Clock) -> Self {
        Self(Arc::new(Shared { db: db.clone(), clock: clock.clone(), feeds: Mutex::default() }))
    }

    /// Something was committed in this tenant.
    pub fn wake(&self, tenant: TenantId) {
        if let Some(feed) = lock(&self.0.feeds).get(&tenant) {
            feed.wake.notify_one();
        }
    }

    /// Something may have been committed anywhere.
    pub fn wake_all(&self) {
        for feed in lock(&self.0.feeds).values() {
            feed.wake.notify_one();
        }
    }

    /// How many subscribers of this tenant there are.
    pub fn subscribers(&self, tenant: TenantId) -> usize {
        lock(&self.0.feeds).get(&tenant).map_or(0, |feed| lock(&feed.state).outlets.len())
    }

    /// What is committed in this tenant from now on, or behind the row `after`.
    ///
    /// # Errors
    /// `INVALID_CURSOR` if `after` is no row of the tenant, or older than an hour; [`Error::Db`].
    pub async fn open(&self, tenant: TenantId, after: Option<Uuid>) -> Result<Inlet<S>, Error> {
        let from = match after {
            None => None,
            Some(id) => Some(self.0.resume(tenant, id).await?),
        };
        let (live, position) = self.0.attach(tenant).await?;
        let from = from.unwrap_or(position);
        metrics::gauge!("tenantry_feed_subscribers", "feed" => S::NAME).increment(1.0);
        let opened = self.0.clock.now();
        Ok(Inlet { shared: Arc::clone(&self.0), tenant, at: from, opened, live: Some((live, position)) })
    }
}

impl<S: Source> Shared<S> {
    fn scope(&self, tenant: TenantId) -> Scope {
        let request = RequestId::new(self.clock.now());
        Scope { tenant, user: None, actor: None, request, stats: Arc::new(Stats::default()) }
    }

    /// Older rows are not read: they are in partitions that need not be opened.
    fn floor(&self) -> DateTime<Utc> {
        self.clock.now() - RESUME
    }

    async fn resume(&self, tenant: TenantId, id: Uuid) -> Result<Position, Error> {
        let gone = || {
            let message = "There is no event with this id to resume from: it is older than an hour, or was never here. \
                           Subscribe without `after`, and read again what you show.";
            ApiError::new(ErrorCode::InvalidCursor, message).with("argument", "after")
        };
        if id < uuid_at(self.floor()) {
            return Err(gone().into());
        }
        let tx = self.db.read(&self.scope(tenant)).await?;
        let found = S::position(&tx, id).await?;
        tx.finish();
        Ok(found.ok_or_else(gone)?)
    }

    /// A place at the tenant's reader, and where that stands.
    async fn attach(self: &Arc<Self>, tenant: TenantId) -> Result<(Live<S>, Position), DbError> {
        loop {
            let feed = Arc::clone(lock(&self.feeds).entry(tenant).or_insert_with(|| Feed::new(tenant)));
            let start = *feed.start.get_or_try_init(|| self.begin(&feed)).await?;
            let mut state = lock(&feed.state);
            if !state.is_over {
                let (outlet, live) = mpsc::channel(QUEUE);
                state.outlets.push(outlet);
                return Ok((live, state.position.unwrap_or(start)));
            }
        }
    }

    /// Has the tenant's writers announce what they write, then looks where the order stands, and starts the reader.
    async fn begin(self: &Arc<Self>, feed: &Arc<Feed<S>>) -> Result<Position, DbError> {
        self.watch(feed.tenant).await?;
        let tx = self.db.read(&self.scope(feed.tenant)).await?;
        let xact = horizon(&tx).await?;
        tx.finish();
        // Everything below the horizon is past; nothing of the transaction at the horizon was read yet.
        let start = Position { xact: xact - 1, id: Uuid::max() };
        tokio::spawn(Arc::clone(self).keep_reading(Arc::clone(feed), start));
        Ok(start)
    }

    async fn watch(&self, tenant: TenantId) -> Result<(), DbError> {
        let tx = self.db.begin(&self.scope(tenant)).await?;
        tx.call("SELECT app.feed_watch({})").bind::<diesel::sql_types::Integer, _>(WATCH_SECONDS).execute().await?;
        tx.commit().await
    }

    /// The reader of one tenant; ends when nobody is left.
    async fn keep_reading(self: Arc<Self>, feed: Arc<Feed<S>>, start: Position) {
        let mut position = start;
        let mut renewed = tokio::time::Instant::now();
        let (mut look, mut again, mut pause) = (FIRST, AGAIN, FIRST);
        loop {
            let _ = tokio::time::timeout(pause, feed.wake.notified()).await;
            if self.ends(&feed) {
                return;
            }
            if renewed.elapsed() >= RENEW {
                match self.watch(feed.tenant).await {
                    Ok(()) => renewed = tokio::time::Instant::now(),
                    Err(error) => tracing::warn!(error = %chain(&error), "a watch could not be renewed"),
                }
            }
            pause = match self.read_on(&feed, &mut position).await {
                Ok(true) => {
                    let pause = again;
                    again = (again * 2).min(Duration::from_secs(1));
                    pause
                }
                Ok(false) => {
                    // The first looks come one soon after the other.
                    (look, again) = ((look * 4).min(POLL), AGAIN);
                    look
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), feed = S::NAME, "a feed could not be read; trying again");
                    Duration::from_secs(1)
                }
            };
        }
    }

    fn ends(&self, feed: &Arc<Feed<S>>) -> bool {
        // In this order everywhere: the map, then the state.
        let mut feeds = lock(&self.feeds);
        let mut state = lock(&feed.state);
        state.outlets.retain(|outlet| !outlet.is_closed());
        if !state.outlets.is_empty() {
            return false;
        }
        state.is_over = true;
        if feeds.get(&feed.tenant).is_some_and(|known| Arc::ptr_eq(known, feed)) {
            feeds.remove(&feed.tenant);
        }
        true
    }

    /// Hands out everything that is settled. True if more is committed and waits for an older transaction.
    async fn read_on(&self, feed: &Feed<S>, position: &mut Position) -> Result<bool, DbError> {
        loop {
            let read = self.read(feed.tenant, *position).await?;
            let Some(last) = read.last else { return Ok(read.waits) };
            metrics::counter!("tenantry_feed_rows_total", "feed" => S::NAME).increment(read.batch.items.len() as u64);
            let batch = Arc::new(read.batch);
            {
                let mut state = lock(&feed.state);
                if !batch.items.is_empty() {
                    // Who has no room falls out, and notices it when its queue is empty.
                    state.outlets.retain(|outlet| outlet.try_send(Arc::clone(&batch)).is_ok());
                }
                state.position = Some(last);
            }
            *position = last;
            if !read.is_full {
                return Ok(read.waits);
            }
        }
    }

    /// The next rows behind a position. Four statements in two flights.
    async fn read(&self, tenant: TenantId, after: Position) -> Result<Read<S::Item>, DbError> {
        let floor = uuid_at(self.floor());
        let tx = self.db.read(&self.scope(tenant)).await?;
        // The version of the rights is that of the snapshot in which the rows are seen.
        let (horizon, version) = futures::try_join!(horizon(&tx), access_version(&tx))?;
        let (rows, waits) =
            futures::try_join!(S::page(&tx, after, horizon, floor, PAGE), S::waits(&tx, horizon, floor))?;
        tx.finish();
        let (last, is_full) = (rows.last().map(|(last, _)| *last), rows.len() as i64 == PAGE);
        let items = rows.into_iter().filter_map(|(position, item)| Some((position, item?))).collect();
        Ok(Read { batch: Batch { items, version }, last, is_full, waits })
    }
}

/// What one look has found.
struct Read<T> {
    batch: Batch<T>,
    /// The last row, wanted or not.
    last: Option<Position>,
    /// There may be more.
    is_full: bool,
    /// More is committed, and waits for an older transaction.
    waits: bool,
}

impl<S: Source> Feed<S> {
    fn new(tenant: TenantId) -> Arc<Self> {
        let state = State { position: None, outlets: Vec::new(), is_over: false };
        Arc::new(Self { tenant, start: OnceCell::new(), wake: Notify::new(), state: Mutex::new(state) })
    }
}

/// The oldest transaction that still runs: those below have ended, for everybody.
async fn horizon(tx: &TenantTx) -> Result<i64, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        xmin: i64,
    }
    let row: Option<Row> =
        tx.call("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin").first().await?;
    Ok(row.map_or(0, |row| row.xmin))
}

type Live<S> = mpsc::Receiver<Arc<Batch<<S as Source>::Item>>>;

/// The subscriber is more than an hour behind: rows that it has not had are not read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBehind;

enum Stop {
    FellBehind,
    Db(DbError),
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// What one subscriber gets.
pub struct Inlet<S: Source> {
    shared: Arc<Shared<S>>,
    tenant: TenantId,
    /// Everything up to here was given.
    at: Position,
    opened: DateTime<Utc>,
    /// The common reader, and where it stood when this one joined it.
    live: Option<(Live<S>, Position)>,
}

impl<S: Source> Drop for Inlet<S> {
    fn drop(&mut self) {
        metrics::gauge!("tenantry_feed_subscribers", "feed" => S::NAME).decrement(1.0);
    }
}

impl<S: Source> Inlet<S> {
    /// The next rows; never empty. May be dropped while it waits. Failures of the database are waited out.
    ///
    /// # Errors
    /// [`FellBehind`].
    pub async fn next(&mut self) -> Result<Batch<S::Item>, FellBehind> {
        loop {
            match self.try_next().await {
                Ok(Some(batch)) => return Ok(batch),
                Ok(None) => {}
                Err(Stop::FellBehind) => return Err(FellBehind),
                Err(Stop::Db(error)) => {
                    tracing::warn!(error = %chain(&error), feed = S::NAME, "a subscriber could not read on; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<Batch<S::Item>>, Stop> {
        let Some((live, joined)) = &mut self.live else {
            self.live = Some(self.shared.attach(self.tenant).await?);
            return Ok(None);
        };
        if self.at < *joined {
            // The past, up to where the common reader stood.
            let last_had = if self.at.id.is_max() { uuid_at(self.opened) } else { self.at.id };
            if last_had < uuid_at(self.shared.floor()) {
                return Err(Stop::FellBehind);
            }
            let mut read = self.shared.read(self.tenant, self.at).await?;
            read.batch.items.retain(|(position, _)| position <= joined);
            self.at = read.last.filter(|last| read.is_full && last < joined).unwrap_or(*joined);
            return Ok((!read.batch.items.is_empty()).then_some(read.batch));
        }
        match live.recv().await {
            Some(batch) => {
                let items: Vec<_> = batch.items.iter().filter(|(position, _)| *position > self.at).cloned().collect();
                if let Some((last, _)) = items.last() {
                    self.at = *last;
                }
                Ok((!items.is_empty()).then_some(Batch { items, version: batch.version }))
            }
            // Fell behind, or the reader has ended: on alone.
            None => {
                self.live = None;
                Ok(None)
            }
        }
    }
}
