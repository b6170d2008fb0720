//! What every `graphql.rs` of a slice says a dozen times.

use std::sync::Arc;

use async_graphql::{Context, Result};

use super::{
    Error, Problem, Services,
    mutation::{Effect, Written},
    reading::{ReadScope, Reading},
};
use crate::{
    context::RequestContext,
    graphql::{codes::UserErrorCode, user_error::UserError},
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
pub fn payload<T: Effect, P>(
    written: std::result::Result<Written<T>, Error>,
    make: impl FnOnce(Option<Written<T>>, Vec<UserError>) -> P,
) -> Option<Result<P>> {
    match written {
        Ok(written) => Some(Ok(make(Some(written), Vec::new()))),
        Err(Error::Rejected(problems)) => Some(Ok(make(None, problems.into_iter().map(user_error).collect()))),
        Err(error) => Some(Err(error.into_api().into())),
    }
}

fn user_error(problem: Problem) -> UserError {
    let code = UserErrorCode::parse(&problem.code).unwrap_or(UserErrorCode::Invalid);
    let error = UserError::at(problem.path, code, problem.message);
    match problem.params {
        Some(params) => error.with_params(params),
        None => error,
    }
}
