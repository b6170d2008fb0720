//! How much a tenant, a principal and an address may ask for: token buckets in points of cost, and lanes.
//!
//! What must always hold:
//! - What a request takes, it takes from all of its buckets in one step, or from none.
//! - A bucket never gives more than its capacity and what has flowed in. What is put back after the answer is at most what
//!   was taken.
//! - With Redis the buckets are the fleet's and the time is Redis'. Without it, or while it is gone, they are this
//!   process'; while Redis is there, the local ones follow, so that nobody starts afresh when it goes.
//! - A tenant's requests never hold more connections of the pool than its lane is wide ([`lanes`]).
//!
//! Start reading at [`Limiter`]; a single bucket is in `bucket`. Who pays what is decided in `app::metering`.

mod bucket;
pub mod lanes;
mod local;

use std::{net::IpAddr, sync::LazyLock, time::Duration};

use redis::Script;

pub use bucket::{MAX_POINTS, Rate};

use crate::{
    clock::Clock,
    ids::{ApiKeyId, TenantId, UserId},
    kv::Kv,
};
use bucket::PARTS;
use local::Local;

/// Millionths of a point.
type Level = u64;

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// All requests in a tenant together.
    Tenant(TenantId),
    /// A person in a tenant.
    Person(TenantId, UserId),
    /// An API key of a tenant.
    ApiKey(TenantId, ApiKeyId),
    /// A person outside of tenants.
    Alone(UserId),
    /// Whoever asks from there without a credential.
    Address(Network),
    /// Sign-ins of one account, by a keyed hash of what names it.
    SignInAccount([u8; 16]),
    /// Sign-ins from one address.
    SignInAddress(Network),
}

/// What counts as one address: an IPv4 address, or the /64 that an IPv6 client can choose freely from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(u128);

impl Network {
    /// The network of this address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            // As an IPv4-mapped address, so that no /64 of IPv6 has the same number.
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
        })
    }
}

impl Key {
    /// The name in answers, in the documentation and in metrics.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Person(..) | Self::ApiKey(..) | Self::Alone(_) | Self::Address(_) => "principal",
            Self::SignInAccount(_) => "signInAccount",
            Self::SignInAddress(_) => "signInAddress",
        }
    }

    /// Whether it counts points, of which unused ones are put back; the others count requests.
    fn counts_points(self) -> bool {
        !matches!(self, Self::SignInAccount(_) | Self::SignInAddress(_))
    }

    fn is_of_a_stranger(&self) -> bool {
        matches!(self, Self::Address(_) | Self::SignInAccount(_) | Self::SignInAddress(_))
    }

    /// The key in Redis. What belongs to a tenant names it; the braces keep a tenant's keys together on one node.
    fn in_redis(self) -> String {
        match self {
            Self::Tenant(tenant) => format!("tenantry:{{{tenant}}}:limit"),
            Self::Person(tenant, user) => format!("tenantry:{{{tenant}}}:limit:{user}"),
            Self::ApiKey(tenant, key) => format!("tenantry:{{{tenant}}}:limit:{key}"),
            Self::Alone(user) => format!("tenantry:{{none}}:limit:{user}"),
            Self::Address(network) => format!("tenantry:{{none}}:limit:address:{:x}", network.0),
            Self::SignInAccount(hash) => {
                format!("tenantry:{{none}}:limit:sign-in:account:{:x}", u128::from_be_bytes(hash))
            }
            Self::SignInAddress(network) => format!("tenantry:{{none}}:limit:sign-in:address:{:x}", network.0),
        }
    }
}

/// What a request wants from one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Whose bucket.
    pub key: Key,
    /// What the bucket is like.
    pub rate: Rate,
    /// How many points, or requests.
    pub cost: u64,
}

/// What is in a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Whose bucket.
    pub key: Key,
    /// What the bucket is like.
    pub rate: Rate,
    level: Level,
}

impl Standing {
    /// Whole points that can be taken now.
    pub fn remaining(&self) -> u64 {
        self.level / PARTS
    }

    /// How long it takes until the bucket is full again.
    pub fn full_in(&self) -> Duration {
        self.rate.time_for(self.rate.full().saturating_sub(self.level))
    }
}

/// Why nothing was taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    /// A bucket has too little now.
    Empty {
        /// Which of the draws' buckets makes wait longest.
        key: Key,
        /// How long until there is enough.
        wait: Duration,
        /// What is in each bucket.
        standings: Vec<Standing>,
    },
    /// More than a full bucket holds: waiting does not help.
    TooLarge {
        /// Which of the draws' buckets.
        key: Key,
        /// What a full one holds.
        capacity: u64,
    },
}

/// What was taken, to be settled after the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// What is in each bucket.
    pub standings: Vec<Standing>,
    draws: Vec<Draw>,
    is_shared: bool,
}

/// The buckets of a server.
pub struct Limiter {
    local: Local,
    shared: Option<Kv>,
    clock: Clock,
}

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settle.lua")));

impl Limiter {
    /// Buckets in this process, or in Redis while it is there.
    pub fn new(clock: Clock, shared: Option<Kv>) -> Self {
        Self { local: Local::new(), shared, clock }
    }

    /// Takes from all buckets or from none.
    ///
    /// # Errors
    /// [`Over`].
    pub async fn take(&self, draws: Vec<Draw>) -> Result<Taken, Over> {
        if let Some(draw) = draws.iter().find(|draw| draw.cost > draw.rate.capacity()) {
            return Err(Over::TooLarge { key: draw.key, capacity: draw.rate.capacity() });
        }
        let now = self.now();
        let (outcome, is_shared) = match self.take_shared(&draws).await {
            Some(outcome) => {
                let (Ok(levels) | Err(levels)) = &outcome;
                for (draw, level) in draws.iter().zip(levels) {
                    self.local.follow(draw, *level, now);
                }
                (outcome, true)
            }
            None => (self.local.take(&draws, now), false),
        };
        let standings = |levels: &[Level]| {
            let pairs = draws.iter().zip(levels);
            pairs.map(|(draw, level)| Standing { key: draw.key, rate: draw.rate, level: *level }).collect::<Vec<_>>()
        };
        match outcome {
            Ok(levels) => Ok(Taken { standings: standings(&levels), draws, is_shared }),
            Err(levels) => {
                let waits = draws
                    .iter()
                    .zip(&levels)
                    .map(|(draw, level)| (draw.rate.time_for((draw.cost * PARTS).saturating_sub(*level)), draw.key));
                let (wait, key) = waits.max().unwrap_or((Duration::ZERO, draws[0].key));
                metrics::counter!("tenantry_limited_total", "limit" => key.policy()).increment(1);
                Err(Over::Empty { key, wait, standings: standings(&levels) })
            }
        }
    }

    /// Puts back what the operation did not use, and says what is in each bucket then.
    ///
    /// With Redis the answer does not wait for it: until Redis has it, the bucket holds a little less than it says.
    pub fn settle(&self, taken: Taken, actual: u64) -> Vec<Standing> {
        let now = self.now();
        let mut shared = Vec::new();
        let standings = taken
            .draws
            .iter()
            .zip(&taken.standings)
            .map(|(draw, standing)| {
                let back = if draw.key.counts_points() { draw.cost.saturating_sub(actual) } else { 0 };
                if back == 0 {
                    return *standing;
                }
                let level = self.local.put_back(draw, back, now);
                if !taken.is_shared {
                    return Standing { level, ..*standing };
                }
                shared.push(Draw { cost: back, ..*draw });
                Standing { level: (standing.level + back * PARTS).min(draw.rate.full()), ..*standing }
            })
            .collect();
        if let (false, Some(kv), Ok(runtime)) = (shared.is_empty(), &self.shared, tokio::runtime::Handle::try_current())
        {
            let kv = kv.clone();
            runtime.spawn(async move {
                let (keys, args) = arguments(&shared);
                let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
                // What is lost here is what a full bucket would have had more.
                let _: Option<i64> = kv.call(&SETTLE, &keys, &args).await;
            });
        }
        standings
    }

    /// What Redis says: what is in each bucket, after taking or without. `None` without Redis.
    async fn take_shared(&self, draws: &[Draw]) -> Option<Result<Vec<Level>, Vec<Level>>> {
        let kv = self.shared.as_ref()?;
        let (keys, args) = arguments(draws);
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let answer: Option<Vec<u64>> = kv.call(&TAKE, &keys, &args).await;
        match answer.as_deref() {
            Some([admitted, levels @ ..]) if levels.len() == draws.len() => {
                Some(if *admitted == 1 { Ok(levels.to_vec()) } else { Err(levels.to_vec()) })
            }
            _ => {
                metrics::counter!("tenantry_limits_local_total").increment(1);
                None
            }
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }
}

/// Keys and arguments of both scripts.
fn arguments(draws: &[Draw]) -> (Vec<String>, Vec<String>) {
    let keys = draws.iter().map(|draw| draw.key.in_redis()).collect();
    let figures =
        |draw: &Draw| [draw.rate.full(), draw.rate.refill(), draw.cost * PARTS].map(|figure| figure.to_string());
    (keys, draws.iter().flat_map(figures).collect())
}

/// What a plan says about limits; what it does not say is the installation's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlanLimits {
    /// `ratePoints`: points that the tenant's bucket holds.
    pub rate_points: Option<u32>,
    /// `ratePointsPerSecond`: points that flow into it in a second.
    pub rate_points_per_second: Option<u32>,
    /// `concurrency`: operations of the tenant that run at once in one server.
    pub concurrency: Option<u32>,
}

impl PlanLimits {
    /// Reads `plans.limits`. What has no sense there says nothing: a typing error must not stop a tenant.
    pub fn of(limits: &serde_json::Value) -> Self {
        let figure = |name: &str| {
            let figure = limits.get(name)?.as_u64()?;
            u32::try_from(figure).ok().filter(|figure| (1..=MAX_POINTS).contains(&u64::from(*figure)))
        };
        Self {
            rate_points: figure("ratePoints"),
            rate_points_per_second: figure("ratePointsPerSecond"),
            concurrency: figure("concurrency"),
        }
    }
}

/// What an API key says about its own bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyRate {
    /// Points that its bucket holds.
    pub capacity: u32,
    /// Points that flow into it in a second.
    pub refill_per_second: u32,
}

impl From<KeyRate> for Rate {
    fn from(rate: KeyRate) -> Self {
        Rate::per_second(rate.capacity.into(), rate.refill_per_second.into())
    }
}

#[cfg(test)]
mod tests;
