//! Parsed documents, by the hash of their text.

use std::sync::Arc;

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

/// Documents that were parsed before. Only sound ones are kept, so nobody fills it with nonsense.
pub(super) struct DocumentCache(Cache<[u8; 32], Arc<ExecutableDocument>>);

impl Default for DocumentCache {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY_BYTES)
                .weigher(|_, document: &Arc<ExecutableDocument>| weight(document))
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
    pub(super) fn parse(&self, text: &str, limits: &Limits) -> Result<Arc<ExecutableDocument>, Refusal> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        if let Some(known) = self.0.get(&hash) {
            metrics::cache(CACHE, "memory", true);
            return Ok(known);
        }
        metrics::cache(CACHE, "memory", false);
        let parsed = Arc::new(document::parse(text, limits)?);
        self.0.insert(hash, Arc::clone(&parsed));
        metrics::cache_changed(CACHE, "memory", "stored", 1);
        Ok(parsed)
    }
}
