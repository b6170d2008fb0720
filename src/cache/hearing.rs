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

use crate::ids::TenantId;

/// From when on and up to when everything was heard. Shared by all clones.
#[derive(Clone, Debug)]
pub struct Hearing {
    /// Nanoseconds from `start` to the instant since which this process listens without a break; 0: it never did.
    since: Arc<AtomicU64>,
    /// The same of the last instant of which everything is known.
    until: Arc<AtomicU64>,
    start: Instant,
    /// The versions of rights that this process has heard of: what is older is no entry, whoever has stored it.
    versions: moka::sync::Cache<TenantId, i64>,
}

/// How much longer than an entry a version is remembered: longer than a look-up takes.
const LOOK_UP: Duration = Duration::from_secs(60);

impl Default for Hearing {
    fn default() -> Self {
        let versions = moka::sync::Cache::builder().time_to_live(super::KEPT + LOOK_UP).build();
        Self { since: Arc::default(), until: Arc::default(), start: Instant::now(), versions }
    }
}

impl Hearing {
    /// Somebody listens from here on. What was asked before may have changed unheard.
    pub fn begins(&self, at: Instant) {
        self.since.store(self.nanoseconds(at), SeqCst);
    }

    /// Whatever was committed before this instant, and since it [began](Self::begins), has been dealt with.
    pub fn heard_until(&self, at: Instant) {
        self.until.fetch_max(self.nanoseconds(at), SeqCst);
    }

    /// Whether every change of what was asked at this instant is known, but for those of the last `time`.
    pub fn covers(&self, asked: Instant, time: Duration) -> bool {
        let (since, until) = (self.since.load(SeqCst), self.until.load(SeqCst));
        since > 0 && since <= until && self.nanoseconds(asked) >= since && self.instant(until).elapsed() < time
    }

    /// The rights of this tenant have this version by now: entries with older ones are none from here on.
    pub fn rights_changed(&self, tenant: TenantId, version: i64) {
        self.versions
            .entry(tenant)
            .and_upsert_with(|known| known.map_or(version, |known| known.into_value().max(version)));
    }

    /// The latest version of the tenant's rights that was heard of; 0 if none was.
    pub fn rights_version(&self, tenant: TenantId) -> i64 {
        self.versions.get(&tenant).unwrap_or_default()
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn instant(&self, nanoseconds: u64) -> Instant {
        self.start + Duration::from_nanos(nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn what_was_asked_while_somebody_listened_is_covered_until_nothing_is_heard() {
        let hearing = Hearing::default();
        let at = |seconds| hearing.start + Duration::from_secs(seconds);
        assert!(!hearing.covers(at(2), LONG), "nobody listens");
        hearing.begins(at(2));
        assert!(!hearing.covers(at(2), LONG), "nothing is proven yet");
        hearing.clone().heard_until(at(3));
        assert!(hearing.covers(at(2), LONG));
        assert!(!hearing.covers(at(1), LONG), "asked before anybody listened");
        assert!(!hearing.covers(at(2), Duration::ZERO), "heard too long ago");
        // An older proof, heard late, takes nothing back.
        hearing.heard_until(at(2));
        assert!(hearing.covers(at(2), LONG));
        // After a break nothing from before counts, and nothing at all before it is proven again.
        hearing.begins(at(5));
        assert!(!hearing.covers(at(2), LONG) && !hearing.covers(at(6), LONG));
        hearing.heard_until(at(6));
        assert!(!hearing.covers(at(4), LONG) && hearing.covers(at(5), LONG));
    }
}
