//! Parsed documents, by the hash of their text.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
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
}

impl Parsed {
    /// Whether it was found valid before.
    pub(super) fn is_valid(&self) -> bool {
        self.is_valid.load(Relaxed)
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
        let parsed = Arc::new(Parsed { document, is_valid: AtomicBool::new(false) });
        self.0.insert(hash, Arc::clone(&parsed));
        metrics::cache_changed(CACHE, "memory", "stored", 1);
        Ok(parsed)
    }
}
