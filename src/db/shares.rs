//! The shares of the runtime connections: one for each thread that serves requests, one for everything else.
//!
//! A connection is driven by the runtime on which it was opened. Lent out on that runtime only, it wakes nobody on another
//! thread, and what a request sends leaves in one piece.

use std::cell::Cell;

use secrecy::SecretString;

use super::pool::{BadUrl, ConnectionPool, PoolOptions};

thread_local! {
    static SHARE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The connections of everything that is no request: notices, refusals, readiness, upkeep.
const COMMON: usize = 2;

/// From here on, this thread takes its connections from the share with this number, counted from 0.
pub fn use_share(number: usize) {
    SHARE.set(Some(number));
}

pub(super) struct Shares {
    common: ConnectionPool,
    of_threads: Vec<ConnectionPool>,
}

impl Shares {
    /// Makes the pools without connecting.
    pub(super) fn new(url: &SecretString, options: &PoolOptions) -> Result<Self, BadUrl> {
        let pool = |size| ConnectionPool::new("app", url, &PoolOptions { size, ..options.clone() });
        if options.shares == 0 {
            return Ok(Self { common: pool(options.size)?, of_threads: Vec::new() });
        }
        // The first shares get what is left over.
        let (each, more) = (options.size / options.shares, options.size % options.shares);
        let sizes = (0..options.shares).map(|share| (each + usize::from(share < more)).max(1));
        Ok(Self { common: pool(COMMON)?, of_threads: sizes.map(pool).collect::<Result<_, _>>()? })
    }

    /// The share of the thread that asks.
    pub(super) fn here(&self) -> &ConnectionPool {
        SHARE.get().and_then(|share| self.of_threads.get(share)).unwrap_or(&self.common)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &ConnectionPool> {
        self.of_threads.iter().chain([&self.common])
    }
}
