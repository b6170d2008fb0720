//! Reads of one operation: one transaction, opened on first use, and the loaders that batch on it.
//!
//! All reads of a query share one [`ReadScope`]; in a mutation every root field has its own, closed before the next
//! field starts, so that it sees what the field wrote and nobody waits for a connection while holding one.
//! Loaders are made with the scope and never outlive it.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use dataloader::{BatchFn, cached::Loader};
use tokio::sync::OnceCell;

use crate::{
    context::RequestContext,
    db::{Db, DbError, TenantTx},
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

type Loaded<B> = Result<Option<<B as Batch>::Value>, Arc<DbError>>;

struct Shared {
    db: Db,
    ctx: Arc<RequestContext>,
    tx: OnceCell<TenantTx>,
}

impl Shared {
    async fn tx(&self) -> Result<&TenantTx, Error> {
        let scope = self.ctx.scope()?;
        self.tx.get_or_try_init(async || Ok(self.db.read(&scope).await?)).await
    }
}

#[doc(hidden)]
pub struct Fetch<B>(Arc<Shared>, std::marker::PhantomData<fn() -> B>);

impl<B: Batch> BatchFn<B::Key, Loaded<B>> for Fetch<B> {
    async fn load(&mut self, keys: &[B::Key]) -> HashMap<B::Key, Loaded<B>> {
        let found = match self.0.tx().await {
            Ok(tx) => B::load(tx, &self.0.ctx, keys).await,
            Err(Error::Db(error)) => Err(error),
            // Without a tenant nothing is visible.
            Err(_) => Ok(HashMap::new()),
        };
        match found {
            Ok(mut found) => keys.iter().map(|key| (key.clone(), Ok(found.remove(key)))).collect(),
            Err(error) => {
                let error = Arc::new(error);
                keys.iter().map(|key| (key.clone(), Err(Arc::clone(&error)))).collect()
            }
        }
    }
}

type LoaderOf<B> = Loader<<B as Batch>::Key, Loaded<B>, Fetch<B>>;

/// One transaction for reads with its loaders.
pub struct ReadScope {
    shared: Arc<Shared>,
    loaders: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
}

impl ReadScope {
    /// A scope that has not opened its transaction yet.
    pub fn new(db: Db, ctx: Arc<RequestContext>) -> Self {
        let shared = Shared { db, ctx, tx: OnceCell::new() };
        Self { shared: Arc::new(shared), loaders: Mutex::new(HashMap::new()) }
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

    fn loader<B: Batch>(&self) -> LoaderOf<B> {
        let mut loaders = self.loaders.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = loaders.entry(TypeId::of::<B>()).or_insert_with(|| {
            let fetch = Fetch::<B>(Arc::clone(&self.shared), std::marker::PhantomData);
            Box::new(LoaderOf::<B>::new(fetch).with_max_batch_size(10_000))
        });
        match entry.downcast_ref::<LoaderOf<B>>() {
            Some(loader) => loader.clone(),
            None => unreachable!("the map is keyed by the type of the batch"),
        }
    }

    /// What belongs to the key; `None` if there is nothing the caller may see.
    ///
    /// # Errors
    /// [`Error::Db`] if the batch failed.
    pub async fn load<B: Batch>(&self, key: B::Key) -> Result<Option<B::Value>, Error> {
        match self.loader::<B>().try_load(key).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Error::Api(crate::domain::error::db_error(&error))),
            Err(error) => Err(Error::Broken(format!("a loader lost a key: {error}"))),
        }
    }

    /// Hands the loader what is known already, so that nobody asks for it again.
    pub async fn prime<B: Batch>(&self, known: impl IntoIterator<Item = (B::Key, B::Value)>) {
        let loader = self.loader::<B>();
        loader.prime_many(known.into_iter().map(|(key, value)| (key, Ok(Some(value))))).await;
    }

    /// Loads what children are going to ask for, in one statement. A failure shows when they ask.
    pub async fn look_ahead<B: Batch>(&self, keys: Vec<B::Key>) {
        if !keys.is_empty() {
            let _ = self.loader::<B>().try_load_many(keys).await;
        }
    }

    /// Ends the transaction. The answer does not wait for it.
    pub fn close(self) {
        drop(self.loaders);
        if let Ok(shared) = Arc::try_unwrap(self.shared)
            && let Some(tx) = shared.tx.into_inner()
        {
            tx.finish();
        }
    }
}

/// The read scope of the field that runs: one for a query, a fresh one for every root field of a mutation.
pub struct Reading {
    db: Db,
    ctx: Arc<RequestContext>,
    current: Mutex<Arc<ReadScope>>,
}

impl Reading {
    /// For one operation.
    pub fn new(db: Db, ctx: Arc<RequestContext>) -> Self {
        let current = Mutex::new(Arc::new(ReadScope::new(db.clone(), Arc::clone(&ctx))));
        Self { db, ctx, current }
    }

    /// The request.
    pub fn ctx(&self) -> &Arc<RequestContext> {
        &self.ctx
    }

    /// The scope of the field that runs.
    pub fn scope(&self) -> Arc<ReadScope> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the reads of the operation, after its answer is built.
    pub fn close(&self) {
        self.renew();
    }

    /// Closes the scope and begins another: before a mutation field writes.
    pub fn renew(&self) {
        let fresh = Arc::new(ReadScope::new(self.db.clone(), Arc::clone(&self.ctx)));
        let old = std::mem::replace(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner), fresh);
        if let Ok(old) = Arc::try_unwrap(old) {
            old.close();
        }
    }
}
