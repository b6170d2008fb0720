//! Who pays for a request, and what is said about it: buckets, lanes, headers, `extensions.cost`.
//!
//! A member pays from two buckets, the tenant's and its own; a person without a tenant from its own; who sends no
//! credential from its address'. What is refused before its price is known costs one point, so that nobody can have
//! documents read or credentials tried for nothing. Attempts to sign in are counted besides, by account and by address.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hmac::{Hmac, Mac};
use http::{HeaderName, HeaderValue};
use sha2::Sha256;

use crate::{
    clock::Clock,
    config::{Key32, Settings},
    context::{Membership, Principal, Tenant},
    db::Stats,
    domain::identity::types::Email,
    graphql::{
        ApiError, ErrorCode,
        policy::{Plan, RootField},
    },
    http::endpoint::{Cost, CostBucket, Refusal},
    ids::TenantId,
    kv::Kv,
    limits::{
        Draw, Key, KeyRate, Limiter, MAX_POINTS, Network, Over, PlanLimits, Rate, Standing, Taken,
        lanes::{Lanes, Turn},
    },
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is refused before its price is known.
const REFUSED: u64 = 1;
/// When to come back to a lane that is full.
const NEXT_TURN: Duration = Duration::from_secs(1);

/// The limits of a server.
pub(super) struct Metering {
    limiter: Limiter,
    lanes: Lanes,
    rules: Rules,
    accounts: Key32,
}

/// The installation's buckets.
struct Rules {
    tenant: (u64, u64),
    principal: Rate,
    address: Rate,
    sign_in_account: Rate,
    sign_in_address: Rate,
}

/// The buckets that a request pays from.
pub(super) type Payer = Vec<(Key, Rate)>;

/// The bucket that every principal has, for what keys may say about theirs.
pub(super) fn principal_rate(settings: &Settings) -> KeyRate {
    let figure = |figure: u64| u32::try_from(figure.min(MAX_POINTS)).unwrap_or(u32::MAX);
    KeyRate {
        capacity: figure(settings.rates.rate_principal_points),
        refill_per_second: figure(settings.rates.rate_principal_refill),
    }
}

impl Metering {
    pub(super) fn new(settings: &Settings, accounts: Key32, clock: Clock, shared: Option<Kv>) -> Self {
        let rates = &settings.rates;
        let rules = Rules {
            tenant: (rates.rate_tenant_points, rates.rate_tenant_refill),
            principal: Rate::per_second(rates.rate_principal_points, rates.rate_principal_refill),
            address: Rate::per_second(rates.rate_address_points, rates.rate_address_refill),
            sign_in_account: Rate::per_minute(rates.sign_in_account_burst, rates.sign_in_account_per_minute),
            sign_in_address: Rate::per_minute(rates.sign_in_address_burst, rates.sign_in_address_per_minute),
        };
        let lanes = Lanes::new(
            rates.concurrency(settings.pool.pool_size),
            rates.tenant_queue,
            Duration::from_millis(rates.tenant_queue_ms),
        );
        Self { limiter: Limiter::new(clock, shared), lanes, rules, accounts }
    }

    /// The turn of an operation among those of its tenant, or of those without one.
    pub(super) async fn turn(&self, tenant: Option<&Tenant>) -> Result<Turn, Box<Refusal>> {
        let by_plan = tenant.and_then(|tenant| tenant.limits.concurrency);
        self.lanes.enter(tenant.map(|tenant| tenant.id), by_plan).await.map_err(|full| {
            let message = match tenant {
                Some(_) => format!("{} operations of this tenant run at once already.", full.width),
                None => format!("{} operations without a tenant run at once already.", full.width),
            };
            Box::new(ApiError::new(ErrorCode::ConcurrencyLimited, message).retry_after(NEXT_TURN).into())
        })
    }

    /// The buckets of somebody in a tenant.
    pub(super) fn member(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        membership: &Membership,
        from: IpAddr,
    ) -> Payer {
        let own = match principal {
            Principal::ApiKey { key, .. } => {
                let rate = membership.rate.map_or(self.rules.principal, |own| self.rules.principal.at_most(own.into()));
                (Key::ApiKey(tenant.id, *key), rate)
            }
            Principal::Person { user, .. } => (Key::Person(tenant.id, *user), self.rules.principal),
            Principal::Anonymous | Principal::Operator { .. } => return self.address(from),
        };
        vec![self.tenant(tenant.id, tenant.limits), own]
    }

    /// The bucket of somebody outside of any tenant.
    pub(super) fn alone(&self, principal: &Principal, from: IpAddr) -> Payer {
        match principal.user() {
            Some(user) => vec![(Key::Alone(user), self.rules.principal)],
            None => self.address(from),
        }
    }

    /// The bucket of an address.
    pub(super) fn address(&self, from: IpAddr) -> Payer {
        vec![(Key::Address(Network::of(from)), self.rules.address)]
    }

    fn tenant(&self, tenant: TenantId, plan: PlanLimits) -> (Key, Rate) {
        let (points, refill) = self.rules.tenant;
        let rate = Rate::per_second(
            plan.rate_points.map_or(points, u64::from),
            plan.rate_points_per_second.map_or(refill, u64::from),
        );
        (Key::Tenant(tenant), rate)
    }

    /// Takes the price of an operation, and counts its attempts to sign in; all in one step.
    pub(super) async fn pay(
        &self,
        payer: &Payer,
        plan: &Plan,
        principal: &Principal,
        from: IpAddr,
    ) -> Result<Taken, Over> {
        let mut draws: Vec<Draw> = draws(payer, plan.cost);
        let sign_ins = plan.root_fields.iter().filter(|field| field.signs_in);
        for field in sign_ins {
            let account = self.account(field, principal).map(|key| (key, self.rules.sign_in_account));
            let address = (Key::SignInAddress(Network::of(from)), self.rules.sign_in_address);
            for (key, rate) in account.into_iter().chain([address]) {
                match draws.iter_mut().find(|draw| draw.key == key) {
                    Some(draw) => draw.cost += 1,
                    None => draws.push(Draw { key, rate, cost: 1 }),
                }
            }
        }
        self.limiter.take(draws).await
    }

    /// Takes a point for what was refused.
    pub(super) async fn pay_for_refusal(&self, payer: &Payer) -> Result<Taken, Over> {
        self.limiter.take(draws(payer, REFUSED)).await
    }

    /// Puts back what was not used.
    pub(super) fn settle(&self, taken: Taken, actual: u64) -> Vec<Standing> {
        self.limiter.settle(taken, actual)
    }

    /// The account that somebody tries to sign in to, as a hash that tells nobody its address.
    fn account(&self, field: &RootField, principal: &Principal) -> Option<Key> {
        let name = match (&field.account, principal.user()) {
            (Some(email), _) => Email::parse(email).map_or_else(|| email.to_string(), |email| email.norm),
            (None, Some(user)) => user.to_string(),
            (None, None) => return None,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(self.accounts.expose()).ok()?;
        mac.update(b"account of a sign-in\0");
        mac.update(name.as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Some(Key::SignInAccount(hash))
    }
}

fn draws(payer: &Payer, cost: u64) -> Vec<Draw> {
    payer.iter().map(|(key, rate)| Draw { key: *key, rate: *rate, cost }).collect()
}

/// The refusal of a request that asks for too much, and what is in the buckets.
pub(super) fn refused(over: Over, cost: u64) -> (Box<Refusal>, Vec<Standing>) {
    match over {
        Over::Empty { key, wait, standings } => {
            let what = match key {
                Key::SignInAccount(_) => "Too many attempts to sign in to this account.",
                Key::SignInAddress(_) => "Too many attempts to sign in from your address.",
                Key::Tenant(_) => "The tenant has asked for too much.",
                Key::Address(_) => "Too much was asked for from your address.",
                Key::Person(..) | Key::ApiKey(..) | Key::Alone(_) => "You have asked for too much.",
            };
            let error = ApiError::new(ErrorCode::RateLimited, format!("{what} Try again later."))
                .retry_after(wait)
                .with("limit", key.policy())
                .with("cost", cost);
            (Box::new(error.into()), standings)
        }
        Over::TooLarge { key, capacity } => {
            let message = format!(
                "The operation costs {cost} points, more than the {capacity} that your {} bucket ever holds. Ask for less.",
                key.policy()
            );
            let error = ApiError::new(ErrorCode::QueryTooComplex, message).with("cost", cost).with("limit", capacity);
            (Box::new(error.into()), Vec::new())
        }
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
pub(super) fn headers(standings: &[Standing]) -> Vec<(HeaderName, HeaderValue)> {
    let shown = || standings.iter().filter(|standing| is_shown(standing));
    let seconds = |time: Duration| time.as_secs_f64().ceil();
    let policy = shown().map(|standing| {
        let rate = standing.rate;
        let (name, capacity, window) = (standing.key.policy(), rate.capacity(), seconds(rate.fills_within()));
        format!("\"{name}\";q={capacity};w={window};qu=\"points\"")
    });
    let left = shown().map(|standing| {
        let (name, remaining, reset) = (standing.key.policy(), standing.remaining(), seconds(standing.full_in()));
        format!("\"{name}\";r={remaining};t={reset}")
    });
    let (policy, left) = (policy.collect::<Vec<_>>().join(", "), left.collect::<Vec<_>>().join(", "));
    [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
        .collect()
}

fn is_shown(standing: &Standing) -> bool {
    matches!(standing.key.policy(), "tenant" | "principal")
}

/// `extensions.cost` of an answer; with what it cost the database only where `sql` is to be shown.
pub(super) fn cost(requested: u64, actual: u64, standings: &[Standing], sql: Option<&Arc<Stats>>) -> Cost {
    let bucket = |policy: &str| {
        let standing = standings.iter().find(|standing| standing.key.policy() == policy)?;
        Some(CostBucket {
            limit: standing.rate.capacity(),
            remaining: standing.remaining(),
            refill_per_second: standing.rate.refill_per_second(),
        })
    };
    Cost {
        requested,
        actual,
        tenant: bucket("tenant"),
        principal: bucket("principal"),
        sql_statements: sql.map(|sql| sql.statements()),
        rows: sql.map(|sql| sql.rows()),
    }
}
