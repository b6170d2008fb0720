//! One question at a time for each key: when an entry ends under load, one request asks the database and the others wait
//! for its answer, instead of all taking connections for the same question.

use std::{hash::Hash, sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Who asks for which key.
pub struct Flights<K>(Cache<K, Arc<Mutex<()>>>);

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Flights<K> {
    /// Nobody asks for anything.
    pub fn new() -> Self {
        // Forgotten while somebody still asks, it costs a second question.
        Self(Cache::builder().max_capacity(10_000).time_to_idle(Duration::from_secs(30)).build())
    }

    /// The turn to ask for this key, after whoever asks for it now. Look again before you ask.
    pub async fn turn(&self, key: &K) -> OwnedMutexGuard<()> {
        self.0.get_with_by_ref(key, Arc::default).lock_owned().await
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Default for Flights<K> {
    fn default() -> Self {
        Self::new()
    }
}
