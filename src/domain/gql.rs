//! What every `graphql.rs` of a slice says a dozen times.

use std::{collections::HashSet, str::FromStr, sync::Arc};

use async_graphql::{Context, Enum, ID, Lookahead, MaybeUndefined, Result};

use super::{
    Error, Problem, Services,
    mutation::{Effect, Written},
    reading::{ReadScope, Reading},
};
use crate::{
    context::RequestContext,
    graphql::{codes::UserErrorCode, error::ApiError, ids::parse, user_error::UserError},
    ids::{Id, InvalidId},
};

/// The services. Put into the operation's data by `app`.
pub fn services<'c>(ctx: &Context<'c>) -> &'c Services {
    ctx.data_unchecked::<Services>()
}

/// Who asks, in which tenant.
pub fn request<'c>(ctx: &Context<'c>) -> &'c Arc<RequestContext> {
    ctx.data_unchecked::<Arc<Reading>>().ctx()
}

/// The read scope of the field that runs.
pub fn scope(ctx: &Context<'_>) -> Arc<ReadScope> {
    ctx.data_unchecked::<Arc<Reading>>().scope()
}

/// Before a mutation field writes: its reads begin afterwards, on a transaction of their own.
pub fn renew(ctx: &Context<'_>) {
    ctx.data_unchecked::<Arc<Reading>>().renew();
}

/// The answer of a nullable field: null where there is nothing to see, and an error that nulls this field alone.
pub fn answer<T>(found: std::result::Result<Option<T>, Error>) -> Option<Result<T>> {
    found.map_err(|error| error.into_api().into()).transpose()
}

/// The payload of a mutation: what was written, or the caller's mistakes; anything else is an error of the field.
///
/// `again` finds what an earlier request with the same idempotency key has written.
pub async fn payload<T: Effect, P>(
    written: std::result::Result<Written<T>, Error>,
    again: impl AsyncFnOnce(T::Key) -> std::result::Result<Option<T>, Error>,
    make: impl FnOnce(Option<T>, Vec<UserError>) -> P,
) -> Option<Result<P>> {
    let effect = match written {
        Ok(Written::Now(effect)) => Ok(Some(effect)),
        Ok(Written::Replayed(key)) => again(key).await,
        Err(Error::Rejected(problems)) => {
            return Some(Ok(make(None, user_errors(problems))));
        }
        Err(error) => Err(error),
    };
    Some(effect.map(|effect| make(effect, Vec::new())).map_err(|error| error.into_api().into()))
}

/// An input field of an update: absent keeps, null clears.
pub fn changed<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// The same for an id.
///
/// # Errors
/// `INVALID_ID`.
pub fn changed_id<T: Id + FromStr<Err = InvalidId>>(
    field: MaybeUndefined<ID>,
) -> std::result::Result<Option<Option<T>>, ApiError> {
    changed(field).map(|id| id.as_ref().map(parse).transpose()).transpose()
}

/// The keys that a page asks its look-ahead for, each once.
pub fn keys<K: Id>(keys: impl Iterator<Item = K>) -> Vec<K> {
    keys.collect::<HashSet<_>>().into_iter().collect()
}

/// What is selected of the items of a page, by `nodes` or by `edges { node }`.
pub struct Ahead<'a>(Vec<Lookahead<'a>>);

impl<'a> Ahead<'a> {
    /// Of the items of the connection that the running field gives.
    pub fn items(ctx: &'a Context<'_>) -> Self {
        let page = ctx.look_ahead();
        Self(vec![page.field("nodes"), page.field("edges").field("node")])
    }

    /// What is selected of this field of theirs.
    pub fn field(&self, name: &str) -> Self {
        Self(self.0.iter().map(|items| items.field(name)).collect())
    }

    /// Whether anything is.
    pub fn exists(&self) -> bool {
        self.0.iter().any(Lookahead::exists)
    }
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OrderDirection {
    /// Smallest, earliest or first first.
    Asc,
    /// Largest, latest or last first.
    Desc,
}

/// The caller's mistakes in the form of the API.
pub fn user_errors(problems: Vec<Problem>) -> Vec<UserError> {
    problems.into_iter().map(user_error).collect()
}

fn user_error(problem: Problem) -> UserError {
    let code = UserErrorCode::parse(&problem.code).unwrap_or(UserErrorCode::Invalid);
    let error = UserError::at(problem.path, code, problem.message);
    match problem.params {
        Some(params) => error.with_params(params),
        None => error,
    }
}
