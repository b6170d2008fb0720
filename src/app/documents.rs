//! Parsed documents, by the hash of their text.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use async_graphql::parser::types::ExecutableDocument;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::{
    graphql::policy::{Limits, Refusal, document},
    telemetry::metrics,
};

const CACHE: &str = "documents";

/// How much text of documents is kept, in bytes. A parsed document takes about ten times its text.
const CAPACITY_BYTES: u64 = 2 * 1024 * 1024;

/// A parsed document, and whether the engine has found it valid. It is so whatever its variables are.
pub(super) struct Parsed {
    document: ExecutableDocument,
    is_valid: AtomicBool,
    /// On how many levels it has read, at most; 0: never.
    levels: AtomicU32,
    /// How often it read on more levels than had been expected.
    misses: AtomicU32,
}

/// A document that reads now more and now less is run anew so often at most; from then on nothing is expected of it.
const MISSES: u32 = 3;

impl Parsed {
    /// Whether it was found valid before.
    pub(super) fn is_valid(&self) -> bool {
        self.is_valid.load(Relaxed)
    }

    /// On how many levels it reads, as far as is known; `None` if that cannot be said. With other variables or other rows it
    /// may be otherwise.
    pub(super) fn levels(&self) -> Option<u32> {
        let levels = self.levels.load(Relaxed);
        (levels > 0 && self.misses.load(Relaxed) < MISSES).then_some(levels)
    }

    /// It has run, and read on so many levels.
    pub(super) fn has_read(&self, levels: u32) {
        self.levels.fetch_max(levels, Relaxed);
    }

    /// It was expected to read on fewer levels than it did.
    pub(super) fn missed(&self) {
        self.misses.fetch_add(1, Relaxed);
    }

    /// An operation of it began, so it is valid.
    pub(super) fn found_valid(&self) {
        self.is_valid.store(true, Relaxed);
    }
}

impl Deref for Parsed {
    type Target = ExecutableDocument;
    fn deref(&self) -> &ExecutableDocument {
        &self.document
    }
}

/// Documents that were parsed before. Only sound ones are kept, so nobody fills it with nonsense.
pub(super) struct DocumentCache(Cache<[u8; 32], Arc<Parsed>>);

impl Default for DocumentCache {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY_BYTES)
                .weigher(|_, known: &Arc<Parsed>| weight(known))
                .eviction_listener(|_, _, _| metrics::cache_changed(CACHE, "memory", "dropped", 1))
                .build(),
        )
    }
}

/// A rough size: every operation and fragment counts like a kilobyte of text.
fn weight(document: &ExecutableDocument) -> u32 {
    let parts = document.operations.iter().count() + document.fragments.len();
    u32::try_from(parts).unwrap_or(u32::MAX).saturating_mul(1024)
}

impl DocumentCache {
    /// The parsed form of a text.
    pub(super) fn parse(&self, text: &str, limits: &Limits) -> Result<Arc<Parsed>, Refusal> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        if let Some(known) = self.0.get(&hash) {
            metrics::cache(CACHE, "memory", true);
            return Ok(known);
        }
        metrics::cache(CACHE, "memory", false);
        let document = document::parse(text, limits)?;
        let parsed = Arc::new(Parsed {
            document,
            is_valid: AtomicBool::new(false),
            levels: AtomicU32::new(0),
            misses: AtomicU32::new(0),
        });
        self.0.insert(hash, Arc::clone(&parsed));
        metrics::cache_changed(CACHE, "memory", "stored", 1);
        Ok(parsed)
    }
}
