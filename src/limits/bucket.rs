//! A token bucket: pure, in whole numbers.
//!
//! Levels are counted in millionths of a point and times in microseconds, so that nothing is lost by rounding: a bucket
//! never gives more than its capacity and what has flowed in since.

use std::time::Duration;

/// Parts of a point.
pub(super) const PARTS: u64 = 1_000_000;

/// How large a bucket is and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    capacity: u64,
    /// Millionths of a point in a second.
    refill: u64,
}

/// No bucket is larger, so that every figure has its place in the floating-point numbers of Redis' scripts.
pub const MAX_POINTS: u64 = 1_000_000_000;

impl Rate {
    /// A bucket of `capacity` points into which `points` flow in a second. At least one of each.
    pub const fn per_second(capacity: u64, points: u64) -> Self {
        Self { capacity: within(capacity), refill: within(points) * PARTS }
    }

    /// The same with what flows in within a minute.
    pub const fn per_minute(capacity: u64, points: u64) -> Self {
        Self { capacity: within(capacity), refill: within(points) * PARTS / 60 }
    }

    /// Points that the bucket holds when it is full.
    pub const fn capacity(self) -> u64 {
        self.capacity
    }

    /// Points that flow in within a second.
    pub fn refill_per_second(self) -> f64 {
        self.refill as f64 / PARTS as f64
    }

    /// The smaller of both, in both respects.
    pub fn at_most(self, other: Self) -> Self {
        Self { capacity: self.capacity.min(other.capacity), refill: self.refill.min(other.refill) }
    }

    /// How long an empty bucket takes to fill.
    pub fn fills_within(self) -> Duration {
        self.time_for(self.full())
    }

    pub(super) const fn full(self) -> u64 {
        self.capacity * PARTS
    }

    pub(super) const fn refill(self) -> u64 {
        self.refill
    }

    /// How long it takes until so much has flowed in.
    pub(super) fn time_for(self, parts: u64) -> Duration {
        let micros = (u128::from(parts) * 1_000_000).div_ceil(u128::from(self.refill.max(1)));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

const fn within(points: u64) -> u64 {
    match points {
        0 => 1,
        points if points > MAX_POINTS => MAX_POINTS,
        points => points,
    }
}

/// What is in a bucket at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    level: u64,
    /// Microseconds of some clock.
    at: i64,
}

impl Bucket {
    pub(super) const fn with(level: u64, at: i64) -> Self {
        Self { level, at }
    }

    /// What is in it now. A clock that goes back adds nothing, and nothing twice when it goes on.
    pub(super) fn level(self, rate: Rate, now: i64) -> u64 {
        let elapsed = u128::try_from(now.saturating_sub(self.at)).unwrap_or(0);
        let added = elapsed * u128::from(rate.refill) / 1_000_000;
        let level = u128::from(self.level).saturating_add(added).min(u128::from(rate.full()));
        u64::try_from(level).unwrap_or(rate.full())
    }

    /// The bucket with this level from now on.
    pub(super) fn set(&mut self, level: u64, now: i64) {
        *self = Self { level, at: self.at.max(now) };
    }

    /// Puts back what was taken and not used; never more than the bucket holds.
    pub(super) fn put_back(&mut self, rate: Rate, now: i64, parts: u64) -> u64 {
        let level = self.level(rate, now).saturating_add(parts).min(rate.full());
        self.set(level, now);
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What limits do with one bucket.
    fn take(bucket: &mut Bucket, rate: Rate, now: i64, points: u64) -> Result<(), Duration> {
        let (level, cost) = (bucket.level(rate, now), points * PARTS);
        if level < cost {
            return Err(rate.time_for(cost - level));
        }
        bucket.set(level - cost, now);
        Ok(())
    }

    #[test]
    fn waiting_as_long_as_it_says_is_enough_and_a_microsecond_less_is_not() {
        let rate = Rate::per_minute(10, 7);
        let mut bucket = Bucket::with(rate.full(), 0);
        take(&mut bucket, rate, 0, 10).expect("it was full");
        let wait = take(&mut bucket, rate, 0, 3).expect_err("it is empty");
        let micros = i64::try_from(wait.as_micros()).expect("some seconds");
        take(&mut bucket, rate, micros - 1, 3).expect_err("too early");
        take(&mut bucket, rate, micros, 3).expect("in time");
    }

    #[test]
    fn a_clock_that_goes_back_fills_nothing_twice() {
        let rate = Rate::per_second(10, 1);
        let mut bucket = Bucket::with(rate.full(), 10_000_000);
        take(&mut bucket, rate, 10_000_000, 10).expect("it was full");
        take(&mut bucket, rate, 0, 1).expect_err("nothing has flowed in");
        bucket.put_back(rate, 0, PARTS);
        assert_eq!(bucket.level(rate, 10_000_000), PARTS);
        assert_eq!(bucket.level(rate, 11_000_000), 2 * PARTS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Never more than the capacity and what has flowed in; and what is refused could not have been admitted.
        #[test]
        fn no_more_is_admitted_than_there_was(
            capacity in 1u64..10_000, refill in 1u64..1_000, is_slow: bool,
            steps in prop::collection::vec((0i64..3_000_000, 1u64..3_000, 0u64..3_000), 1..60),
        ) {
            let rate = if is_slow { Rate::per_minute(capacity, refill) } else { Rate::per_second(capacity, refill) };
            let mut bucket = Bucket::with(rate.full(), 0);
            let (mut now, mut used) = (0i64, 0u128);
            for (pause, cost, unused) in steps {
                now += pause;
                let ever = u128::from(rate.full()) + u128::try_from(now).expect("forward") * u128::from(rate.refill()) / 1_000_000;
                match take(&mut bucket, rate, now, cost) {
                    Ok(()) => {
                        let unused = unused.min(cost);
                        let level = bucket.put_back(rate, now, unused * PARTS);
                        prop_assert!(level <= rate.full());
                        used += u128::from((cost - unused) * PARTS);
                        prop_assert!(used <= ever, "{used} of {ever}");
                    }
                    Err(wait) => prop_assert!(cost > capacity || wait > Duration::ZERO),
                }
            }
        }
    }
}
