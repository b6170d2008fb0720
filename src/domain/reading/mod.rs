//! Reads of one operation: one transaction, opened on first use, and the loaders that batch on it.
//!
//! All reads of a query share one [`ReadScope`]; in a mutation every root field has its own, closed before the next
//! field starts, so that it sees what the field wrote and nobody waits for a connection while holding one.
//! Loaders are made with the scope and never outlive it.

mod loaders;

use std::{
    collections::HashMap,
    fmt::Debug,
    future::poll_fn,
    hash::Hash,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures::Stream;
use tokio::sync::OnceCell;

use loaders::Loaders;

use crate::{
    context::RequestContext,
    db::{Db, DbError, Person, PersonTx, TenantTx},
    domain::Error,
};

/// How rows of one kind are fetched for many keys at once.
///
/// Implementations return what the caller may see and nothing else: an absent key is unknown, foreign or invisible.
pub trait Batch: Send + Sync + 'static {
    /// What is asked with.
    type Key: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// What is found.
    type Value: Clone + Send + Sync + 'static;

    /// Fetches many. One SQL statement, whatever the number of keys.
    fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>, DbError>> + Send;
}

/// What belongs to one parent, asked for in one way: which children, in which order, from where on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Under<W> {
    /// The parent's uuid.
    pub parent: uuid::Uuid,
    /// What is wanted of its children.
    pub wanted: W,
}

/// Fetches for many parents: one call of `fetch` for all that are asked the same way, all calls in one flight.
///
/// # Errors
/// The first failure of `fetch`.
pub async fn by_wish<W, T, F>(
    keys: &[Under<W>],
    fetch: impl Fn(W, Vec<uuid::Uuid>) -> F,
) -> Result<Vec<(Under<W>, Vec<T>)>, DbError>
where
    W: Clone + Eq + Hash,
    F: Future<Output = Result<Vec<(uuid::Uuid, T)>, DbError>>,
{
    let mut groups: HashMap<&W, Vec<uuid::Uuid>> = HashMap::new();
    for key in keys {
        groups.entry(&key.wanted).or_default().push(key.parent);
    }
    let fetches = groups.into_iter().map(|(wanted, parents)| {
        let found = fetch(wanted.clone(), parents);
        async move { Ok::<_, DbError>((wanted, found.await?)) }
    });
    let found = futures::future::try_join_all(fetches).await?;
    let each = found.into_iter().flat_map(|(wanted, rows)| {
        runs(rows).into_iter().map(move |(parent, rows)| (Under { parent, wanted: wanted.clone() }, rows))
    });
    Ok(each.collect())
}

/// Neighbours with the same parent put together.
fn runs<T>(rows: Vec<(uuid::Uuid, T)>) -> Vec<(uuid::Uuid, Vec<T>)> {
    let mut runs: Vec<(uuid::Uuid, Vec<T>)> = Vec::new();
    for (parent, row) in rows {
        match runs.last_mut() {
            Some((last, run)) if *last == parent => run.push(row),
            _ => runs.push((parent, vec![row])),
        }
    }
    runs
}

/// The pages of [`by_wish`]: a list for every key, empty where nothing was found.
pub fn pages<W: Clone + Eq + Hash, T>(keys: &[Under<W>], found: Vec<(Under<W>, Vec<T>)>) -> HashMap<Under<W>, Vec<T>> {
    let mut pages: HashMap<_, Vec<T>> = keys.iter().map(|key| (key.clone(), Vec::new())).collect();
    for (key, rows) in found {
        pages.entry(key).or_default().extend(rows);
    }
    pages
}

/// The numbers of [`by_wish`], absent where nothing was counted.
pub fn counts<W: Eq + Hash>(found: Vec<(Under<W>, Vec<i64>)>) -> HashMap<Under<W>, i64> {
    found.into_iter().map(|(key, counts)| (key, counts.into_iter().sum())).collect()
}

/// The totals of [`by_wish`]: a number for every key, 0 where nothing was found.
pub fn totals<W: Clone + Eq + Hash>(keys: &[Under<W>], found: Vec<(Under<W>, Vec<i64>)>) -> HashMap<Under<W>, i64> {
    let mut totals: HashMap<_, i64> = keys.iter().map(|key| (key.clone(), 0)).collect();
    totals.extend(counts(found));
    totals
}

/// The one transaction of a scope. In a tenant the person's own rows are read on it too, so that a request never holds
/// two connections.
enum Opened {
    Tenant(TenantTx),
    Person(PersonTx),
}

struct Shared {
    db: Db,
    ctx: Arc<RequestContext>,
    opened: OnceCell<Opened>,
}

impl Shared {
    async fn opened(&self) -> Result<&Opened, Error> {
        let open = async || match self.ctx.scope() {
            Ok(scope) => Ok(Opened::Tenant(self.db.read(&scope).await?)),
            Err(_) => Ok(Opened::Person(self.db.person(self.ctx.principal.user(), &self.ctx.stats).await?)),
        };
        self.opened.get_or_try_init(open).await
    }

    async fn tx(&self) -> Result<&TenantTx, Error> {
        self.ctx.tenant()?;
        match self.opened().await? {
            Opened::Tenant(tx) => Ok(tx),
            Opened::Person(_) => Err(crate::context::TenantRequired.into()),
        }
    }
}

/// One transaction for reads with its loaders.
pub struct ReadScope {
    shared: Arc<Shared>,
    loaders: Loaders,
}

impl ReadScope {
    /// A scope that has not opened its transaction yet.
    pub fn new(db: Db, ctx: Arc<RequestContext>) -> Self {
        let shared = Shared { db, ctx, opened: OnceCell::new() };
        Self { shared: Arc::new(shared), loaders: Loaders::default() }
    }

    /// The request.
    pub fn ctx(&self) -> &RequestContext {
        &self.shared.ctx
    }

    /// The transaction of the request's tenant, opened on first use.
    ///
    /// # Errors
    /// [`Error::TenantRequired`] without a tenant, [`Error::Db`] without a connection.
    pub async fn tx(&self) -> Result<&TenantTx, Error> {
        self.shared.tx().await
    }

    /// The person behind the request: on the tenant's transaction if there is a tenant, else on one of their own. `None`
    /// if the request is nobody's, for example an API key's; no connection is opened then.
    ///
    /// # Errors
    /// [`Error::Db`] without a connection.
    pub async fn person(&self) -> Result<Option<Person<'_>>, Error> {
        if self.ctx().principal.user().is_none() {
            return Ok(None);
        }
        Ok(match self.shared.opened().await? {
            Opened::Tenant(tx) => tx.person(),
            Opened::Person(tx) => tx.person(),
        })
    }

    /// What belongs to the key; `None` if there is nothing the caller may see. Waits for the other fields of its level, and
    /// for ever outside of [`Reading::drive`].
    ///
    /// # Errors
    /// [`Error::Db`] if the batch failed.
    pub async fn load<B: Batch>(&self, key: B::Key) -> Result<Option<B::Value>, Error> {
        self.loaders.load::<B>(key).await.map_err(|error| Error::Api(crate::domain::error::db_error(&error)))
    }

    /// Hands the loader what is known already, so that nobody asks for it again.
    pub fn prime<B: Batch>(&self, known: impl IntoIterator<Item = (B::Key, B::Value)>) {
        self.loaders.prime::<B>(known);
    }

    /// Loads what children are going to ask for, in one statement. A failure shows when they ask.
    pub async fn look_ahead<B: Batch>(&self, keys: Vec<B::Key>) {
        if !keys.is_empty() {
            self.loaders.look_ahead::<B>(keys).await;
        }
    }

    fn advance(&self, cx: &mut Context<'_>) -> bool {
        self.loaders.advance(&self.shared, cx)
    }

    /// The tenant's transaction, if it was opened.
    fn opened(&self) -> Option<&TenantTx> {
        match self.shared.opened.get() {
            Some(Opened::Tenant(tx)) => Some(tx),
            _ => None,
        }
    }

    /// Ends the transaction. The answer does not wait for it.
    pub fn close(self) {
        drop(self.loaders);
        if let Ok(shared) = Arc::try_unwrap(self.shared) {
            match shared.opened.into_inner() {
                Some(Opened::Tenant(tx)) => tx.finish(),
                Some(Opened::Person(tx)) => tx.finish(),
                None => {}
            }
        }
    }
}

/// The read scope of the field that runs: one for a query, a fresh one for every root field of a mutation.
pub struct Reading {
    db: Db,
    ctx: Arc<RequestContext>,
    /// `None`: nothing has been asked for since the last one was closed.
    current: Mutex<Option<Arc<ReadScope>>>,
    /// For whom the next scope is.
    next: Mutex<Arc<RequestContext>>,
    /// What is held as long as the reads last: the turn of an event in its tenant's lane.
    turn: Mutex<Option<Box<dyn Send>>>,
    /// On which level the last statements are expected to leave: `COMMIT` leaves with them.
    last_level: Option<u32>,
    levels: AtomicU32,
    sent: AtomicU32,
}

/// The operation asked the database after the level that was expected to be its last: run it again, without this
/// expectation.
#[derive(Debug)]
pub struct TooShort;

impl Reading {
    /// For one operation.
    pub fn new(db: Db, ctx: Arc<RequestContext>) -> Self {
        let next = Mutex::new(Arc::clone(&ctx));
        let (levels, sent) = (AtomicU32::default(), AtomicU32::default());
        Self { db, ctx, current: Mutex::default(), next, turn: Mutex::default(), last_level: None, levels, sent }
    }

    /// For a query that is expected to read on so many levels: `COMMIT` leaves with the last one.
    pub fn expecting(self, levels: Option<u32>) -> Self {
        Self { last_level: levels, ..self }
    }

    /// How often the operation has had to ask the tenant's database before it could go on.
    pub fn levels(&self) -> u32 {
        self.levels.load(Relaxed)
    }

    /// The request, as it came. A subscriber's present rights are those of the [`scope`](Self::scope).
    pub fn ctx(&self) -> &Arc<RequestContext> {
        &self.ctx
    }

    /// The scope of the field that runs.
    pub fn scope(&self) -> Arc<ReadScope> {
        let mut current = lock(&self.current);
        let fresh = || Arc::new(ReadScope::new(self.db.clone(), Arc::clone(&lock(&self.next))));
        Arc::clone(current.get_or_insert_with(fresh))
    }

    /// Ends the reads of the operation, after its answer is built.
    pub fn close(&self) {
        self.renew();
        drop(lock(&self.turn).take());
    }

    /// Keeps this until [`close`](Self::close).
    pub fn hold(&self, turn: Box<dyn Send>) {
        *lock(&self.turn) = Some(turn);
    }

    /// Runs the operation, and fetches what its fields wait for whenever none of them can go on.
    ///
    /// # Errors
    /// [`TooShort`], only if levels were [expected](Self::expecting).
    pub async fn drive<F: Future>(&self, operation: F) -> Result<F::Output, TooShort> {
        let mut operation = pin!(operation);
        // Without tokio's budget for one poll: a field that only gave way would look like one that waits for rows, and its
        // level would be fetched in two statements.
        let driven = poll_fn(|cx| {
            let polled = self.poll(cx, |cx| operation.as_mut().poll(cx));
            // Whatever was answered then lacks what was refused.
            if self.is_short() { Poll::Ready(Err(TooShort)) } else { polled.map(Ok) }
        });
        tokio::task::unconstrained(driven).await
    }

    /// The same for the events of a subscription.
    pub fn drive_all<S: Stream + Send + 'static>(
        self: Arc<Self>,
        events: S,
    ) -> impl Stream<Item = S::Item> + Send + 'static {
        let mut events = Box::pin(events);
        futures::stream::poll_fn(move |cx| self.poll(cx, |cx| events.as_mut().poll_next(cx)))
    }

    fn poll<T>(&self, cx: &mut Context<'_>, mut operation: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        loop {
            if let Poll::Ready(output) = operation(cx) {
                return Poll::Ready(output);
            }
            let scope = self.scope();
            if !scope.advance(cx) {
                self.note_level(&scope);
                return Poll::Pending;
            }
            if self.is_short() {
                return Poll::Pending;
            }
        }
    }

    /// To be called when everything waits: if statements have left since the last time, that is another level.
    fn note_level(&self, scope: &ReadScope) {
        let Some(tx) = scope.opened() else { return };
        let sent = tx.sent();
        if self.sent.swap(sent, Relaxed) == sent {
            return;
        }
        let level = self.levels.fetch_add(1, Relaxed) + 1;
        if self.last_level == Some(level) {
            tx.commit_ahead();
        }
    }

    fn is_short(&self) -> bool {
        self.last_level.is_some() && self.scope().opened().is_some_and(TenantTx::is_short)
    }

    /// Closes the scope and begins another: before a mutation field writes.
    pub fn renew(&self) {
        self.renew_as(Arc::clone(&self.ctx));
    }

    /// The same for what the one who asks is by now: before an event is shown to a subscriber.
    pub fn renew_as(&self, ctx: Arc<RequestContext>) {
        let mut current = lock(&self.current);
        *lock(&self.next) = ctx;
        let old = current.take();
        drop(current);
        if let Some(Ok(old)) = old.map(Arc::try_unwrap) {
            old.close();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
