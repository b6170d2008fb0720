//! How well this process hears of changes that others make.
//!
//! Notices come in the order of the commits they are about. A server sends itself one every second; when it hears it, it
//! has heard, and dealt with, everything that was committed before it was sent. As long as that is not long ago, what is
//! cached and was not named by a notice is as good as read now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// Up to when everything was heard. Shared by all clones.
#[derive(Clone, Debug)]
pub struct Hearing {
    /// Nanoseconds from here to the last instant of which everything is known; 0: nothing was ever heard.
    heard: Arc<AtomicU64>,
    start: Instant,
}

impl Default for Hearing {
    fn default() -> Self {
        Self { heard: Arc::default(), start: Instant::now() }
    }
}

impl Hearing {
    /// Whatever was committed before this instant has been dealt with.
    pub fn heard_until(&self, at: Instant) {
        let nanoseconds = at.saturating_duration_since(self.start).as_nanos();
        self.heard.fetch_max(u64::try_from(nanoseconds).unwrap_or(u64::MAX), SeqCst);
    }

    /// Whether all changes are known but those of the last `time`.
    pub fn is_within(&self, time: Duration) -> bool {
        match self.heard.load(SeqCst) {
            0 => false,
            nanoseconds => (self.start + Duration::from_nanos(nanoseconds)).elapsed() < time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_something_was_heard_and_long_after() {
        let hearing = Hearing::default();
        assert!(!hearing.is_within(Duration::from_secs(3600)));
        let now = Instant::now();
        hearing.clone().heard_until(now);
        assert!(hearing.is_within(Duration::from_secs(3600)));
        assert!(!hearing.is_within(Duration::ZERO));
        // An older proof, heard late, takes nothing back.
        hearing.heard_until(now - Duration::from_millis(1));
        assert!(hearing.is_within(Duration::from_secs(3600)));
    }
}
