//! What every `graphql.rs` of a slice says a dozen times.

use std::{collections::HashSet, str::FromStr, sync::Arc};

use async_graphql::{Context, Enum, ID, InputType, Lookahead, MaybeUndefined, Name, Result, SelectionField, Value};
use futures::FutureExt;

use tokio::sync::watch;

use super::{
    Error, Problem, Services,
    live::Subscriber,
    mutation::{Effect, Written},
    reading::{ReadScope, Reading},
};
use crate::{
    access::Permission,
    context::RequestContext,
    graphql::{
        PageArgs,
        codes::{ErrorCode, UserErrorCode},
        error::ApiError,
        ids::parse,
        inline::Inline,
        user_error::UserError,
    },
    ids::{Id, InvalidId},
};

/// The services. Put into the operation's data by `app`.
pub fn services<'c>(ctx: &Context<'c>) -> &'c Services {
    ctx.data_unchecked::<Arc<Services>>()
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

/// What a subscription works with.
pub struct Listening {
    subscriber: Arc<dyn Subscriber>,
    reading: Arc<Reading>,
    rights: watch::Receiver<Arc<RequestContext>>,
}

impl Listening {
    /// Of the operation that runs.
    ///
    /// # Errors
    /// When it does not run on a socket.
    pub fn of(ctx: &Context<'_>) -> std::result::Result<Self, ApiError> {
        let Some(subscriber) = ctx.data_opt::<Arc<dyn Subscriber>>() else {
            return Err(ApiError::new(ErrorCode::BadRequest, "Subscriptions run on a socket, at /graphql/ws."));
        };
        let rights = subscriber.rights();
        Ok(Self {
            subscriber: Arc::clone(subscriber),
            reading: Arc::clone(ctx.data_unchecked::<Arc<Reading>>()),
            rights,
        })
    }

    /// Who listens and what they may do now, by rights of this version or a later one; `None` at the end of the socket.
    pub async fn current(&self, version: i64) -> Option<Arc<RequestContext>> {
        self.subscriber.current(version).await
    }

    /// Who listens and what they may do, as far as is known.
    pub fn now(&mut self) -> Arc<RequestContext> {
        Arc::clone(&self.rights.borrow_and_update())
    }

    /// Waits until the rights may be different; `None` at the end of the socket.
    pub async fn changed(&mut self) -> Option<Arc<RequestContext>> {
        self.rights.changed().await.ok()?;
        Some(Arc::clone(&self.rights.borrow_and_update()))
    }

    /// Ends the reads so far and begins those of the next event, with these rights, in their turn.
    pub async fn about_to_show(&self, now: Arc<RequestContext>) {
        self.reading.renew_as(now);
        self.reading.hold(self.subscriber.turn().await);
    }

    /// Ends the reads so far.
    pub fn pause(&self) {
        self.reading.close();
    }

    /// The subscription needs a right that is gone.
    pub fn lost(&self, permission: Permission) {
        self.subscriber.lost(permission);
    }

    /// The subscription is more than an hour behind.
    pub fn fell_behind(&self) {
        self.subscriber.fell_behind();
    }
}

/// The answer of a nullable field that gives an object.
pub type Answer<T> = Option<Result<Inline<T>>>;

/// The answer of a nullable field that gives an object: null where there is nothing to see, and an error that nulls this
/// field alone.
pub fn answer<T>(found: std::result::Result<Option<T>, Error>) -> Answer<T> {
    nullable(found.map(|found| found.map(Inline)))
}

/// The same for a field that gives something else: an interface, a list.
pub fn nullable<T>(found: std::result::Result<Option<T>, Error>) -> Option<Result<T>> {
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
        Self::of_page(&ctx.look_ahead())
    }

    fn of_page(page: &Lookahead<'a>) -> Self {
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

    /// Whether only fields of these names are selected. Those that a directive leaves out count as well.
    pub fn are_among(&self, names: &[&str]) -> bool {
        let mut items = self.0.iter().flat_map(Lookahead::selection_fields);
        items.all(|items| items.selection_set().all(|field| names.contains(&field.name())))
    }
}

/// The arguments of a field, before its object is there.
pub struct Arguments<'a> {
    field: SelectionField<'a>,
    values: Vec<(Name, Value)>,
}

impl<'a> Arguments<'a> {
    /// Of every field of this name that is selected of the object which the running field gives. None of a field whose
    /// arguments cannot be had: it will say so itself.
    pub fn of(ctx: &'a Context<'_>, field: &str) -> Vec<Self> {
        let fields = ctx.look_ahead().field(field).selection_fields();
        fields.into_iter().filter_map(|field| Some(Self { field, values: field.arguments().ok()? })).collect()
    }

    /// What is selected of the items of the connection that the field gives.
    pub fn items(&self) -> Ahead<'a> {
        Ahead::of_page(&Lookahead::from(self.field))
    }

    /// The argument of this name. What is wrong with it is left to the field.
    pub fn get<T: InputType>(&self, name: &str) -> Option<T> {
        let (_, value) = self.values.iter().find(|(known, _)| known == name)?;
        Option::<T>::parse(Some(value.clone())).ok().flatten()
    }

    /// Those of a page.
    pub fn page(&self) -> PageArgs {
        PageArgs {
            first: self.get("first"),
            after: self.get("after"),
            last: self.get("last"),
            before: self.get("before"),
        }
    }
}

/// Lets loaders know what a field is going to ask for, so that it shares the flight of what is under way. What the field
/// gives is its own business, later.
pub fn foresee(field: impl Future) {
    // The first poll says what is wanted.
    let _ = Box::pin(field).now_or_never();
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
