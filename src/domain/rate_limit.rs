//! What is left of the limits, in the API: the figures of `extensions.cost` for whoever asks for them by a query.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};

use crate::{
    domain::gql::{Answer, answer},
    graphql::directives::{authenticated, cost},
    limits::Standing,
};

/// What is in the buckets that a request draws from, as it was when this operation had been paid. Put into the operation's
/// data by `app`.
#[derive(Clone, Debug)]
pub struct Buckets(pub Arc<[Standing]>);

/// A bucket of points: every operation takes its cost from it.
#[derive(Clone, Debug, SimpleObject)]
pub struct RateLimitBucket {
    /// Points that it holds when it is full.
    limit: i32,
    /// Points that are left, once this operation is paid.
    remaining: i32,
    /// Points that flow into it in a second.
    refill_per_second: f64,
    /// In how many seconds it is full again if nothing more is asked for.
    full_in_seconds: i32,
}

impl From<&Standing> for RateLimitBucket {
    fn from(standing: &Standing) -> Self {
        let figure = |figure: u64| i32::try_from(figure).unwrap_or(i32::MAX);
        Self {
            limit: figure(standing.rate.capacity()),
            remaining: figure(standing.remaining()),
            refill_per_second: standing.rate.refill_per_second(),
            full_in_seconds: figure(standing.full_in().as_secs_f64().ceil() as u64),
        }
    }
}

/// What is left of the limits of the one who asks.
pub struct RateLimit(Buckets);

impl RateLimit {
    fn bucket(&self, policy: &str) -> Option<RateLimitBucket> {
        self.0.0.iter().find(|standing| standing.key.policy() == policy).map(RateLimitBucket::from)
    }
}

/// What is left of the limits of the one who asks. Both buckets must hold what an operation costs.
#[Object]
impl RateLimit {
    /// The bucket that everybody in the tenant draws from; null without a tenant.
    #[graphql(directive = cost::apply(0))]
    async fn tenant(&self) -> Option<RateLimitBucket> {
        self.bucket("tenant")
    }

    /// The bucket of the person or the API key that asks.
    #[graphql(directive = cost::apply(0))]
    async fn principal(&self) -> Option<RateLimitBucket> {
        self.bucket("principal")
    }
}

/// Reads of the limits.
#[derive(Default)]
pub struct RateLimitQuery;

#[Object]
impl RateLimitQuery {
    /// What is left of your limits. The answer to every operation has the same figures in `extensions.cost`.
    #[graphql(directive = authenticated::apply(), directive = cost::apply(0))]
    async fn rate_limit(&self, ctx: &Context<'_>) -> Answer<RateLimit> {
        answer(Ok(ctx.data_opt::<Buckets>().cloned().map(RateLimit)))
    }
}
