//! Loaders: what the fields of one level ask for is fetched by one statement for each kind.
//!
//! A field that asks for a row says so and waits. Nothing is fetched while any field can still go on: only when the whole
//! operation waits are all keys of the level known, and [`Loaders::advance`] fetches them, every kind by one statement, all
//! in one flight. So there is neither a timer nor a number of turns to wait for, and the number of statements does not depend
//! on how the fields are scheduled (`docs/adr/0018-loaders-that-run-when-nothing-else-can.md`).

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use futures::future::BoxFuture;

use super::{Batch, Shared, lock};
use crate::{db::DbError, domain::Error};

/// What belongs to a key; shared, because many fields may be told of the same failure.
type Loaded<B> = Result<Option<<B as Batch>::Value>, Arc<DbError>>;

/// What one kind of batch knows, and what it was asked for.
struct Table<B: Batch> {
    rows: Mutex<Rows<B>>,
}

struct Rows<B: Batch> {
    /// `None`: asked for, and not there yet.
    known: HashMap<B::Key, Option<Loaded<B>>>,
    wanted: Vec<B::Key>,
    waiting: Vec<Waker>,
}

impl<B: Batch> Default for Table<B> {
    fn default() -> Self {
        Self { rows: Mutex::new(Rows { known: HashMap::new(), wanted: Vec::new(), waiting: Vec::new() }) }
    }
}

impl<B: Batch> Table<B> {
    fn rows(&self) -> MutexGuard<'_, Rows<B>> {
        lock(&self.rows)
    }
}

impl<B: Batch> Rows<B> {
    fn want(&mut self, key: &B::Key) {
        if !self.known.contains_key(key) {
            self.known.insert(key.clone(), None);
            self.wanted.push(key.clone());
        }
    }
}

/// A table of any kind.
trait AnyTable: Any + Send + Sync {
    /// The statement that fetches what was asked for; `None` if nothing was.
    fn fetch(self: Arc<Self>, shared: &Arc<Shared>) -> Option<BoxFuture<'static, ()>>;
}

impl<B: Batch> AnyTable for Table<B> {
    fn fetch(self: Arc<Self>, shared: &Arc<Shared>) -> Option<BoxFuture<'static, ()>> {
        let keys = std::mem::take(&mut self.rows().wanted);
        if keys.is_empty() {
            return None;
        }
        let shared = Arc::clone(shared);
        Some(Box::pin(async move {
            let mut found = match shared.tx().await {
                Ok(tx) => B::load(tx, &shared.ctx, &keys).await.map_err(Arc::new),
                Err(Error::Db(error)) => Err(Arc::new(error)),
                // Without a tenant nothing is visible.
                Err(_) => Ok(HashMap::new()),
            };
            let mut rows = self.rows();
            for key in keys {
                let loaded = match &mut found {
                    Ok(found) => Ok(found.remove(&key)),
                    Err(error) => Err(Arc::clone(error)),
                };
                rows.known.insert(key, Some(loaded));
            }
            let waiting = std::mem::take(&mut rows.waiting);
            drop(rows);
            waiting.into_iter().for_each(Waker::wake);
        }))
    }
}

/// The loaders of one read scope.
#[derive(Default)]
pub(super) struct Loaders {
    /// Few: a search is faster than a map.
    tables: Mutex<Vec<(TypeId, Arc<dyn AnyTable>)>>,
    running: Mutex<Vec<BoxFuture<'static, ()>>>,
}

impl Loaders {
    fn table<B: Batch>(&self) -> Arc<Table<B>> {
        let mut tables = lock(&self.tables);
        let known = tables.iter().find(|(kind, _)| *kind == TypeId::of::<B>()).map(|(_, table)| Arc::clone(table));
        if let Some(table) = known.and_then(|table| (table as Arc<dyn Any + Send + Sync>).downcast().ok()) {
            return table;
        }
        let table = Arc::<Table<B>>::default();
        tables.push((TypeId::of::<B>(), Arc::clone(&table) as _));
        table
    }

    /// Waits for what belongs to the key; `None` if there is nothing the caller may see.
    pub(super) async fn load<B: Batch>(&self, key: B::Key) -> Result<Option<B::Value>, Arc<DbError>> {
        let table = self.table::<B>();
        poll_fn(move |cx| {
            let mut rows = table.rows();
            if let Some(Some(loaded)) = rows.known.get(&key) {
                return Poll::Ready(loaded.clone());
            }
            rows.want(&key);
            rows.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits until all these keys have been asked for. A failure shows when a field asks.
    pub(super) async fn look_ahead<B: Batch>(&self, keys: Vec<B::Key>) {
        let table = self.table::<B>();
        poll_fn(move |cx| {
            let mut rows = table.rows();
            let mut is_there = true;
            for key in &keys {
                rows.want(key);
                is_there &= matches!(rows.known.get(key), Some(Some(_)));
            }
            if is_there {
                return Poll::Ready(());
            }
            rows.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// What is known already: nobody asks the database for it again.
    pub(super) fn prime<B: Batch>(&self, known: impl IntoIterator<Item = (B::Key, B::Value)>) {
        let table = self.table::<B>();
        let mut rows = table.rows();
        for (key, value) in known {
            // What is on its way already may be older or newer; whoever waits for it must be told of that one.
            rows.known.entry(key).or_insert(Some(Ok(Some(value))));
        }
    }

    /// To be called when the operation cannot go on: sends what was asked for, all in one flight, and says whether anything
    /// has arrived by now.
    pub(super) fn advance(&self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> bool {
        let mut running = lock(&self.running);
        for (_, table) in lock(&self.tables).iter() {
            running.extend(Arc::clone(table).fetch(shared));
        }
        let before = running.len();
        running.retain_mut(|statement| statement.as_mut().poll(cx).is_pending());
        running.len() < before
    }
}
