//! Objects and lists whose fields are resolved in place.
//!
//! The engine makes a boxed future for every field of every object and polls all of them; most fields have their value at
//! once. [`Inline`] and [`InlineList`] poll each field where it stands, in one box that the next field uses again, and keep
//! only those that must wait. What a client sees is the same; a page of 50 rows takes about half of the time
//! (`docs/performance.md`).
//!
//! The futures of an object and of a list are boxed without their types: those of objects that contain each other would have
//! no end.
//!
//! Fragments, directives and fields that are asked for twice are left to the engine. Its extensions are not asked: none is
//! installed (`app::schema`).

use std::{
    borrow::Cow,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use async_graphql::{
    ContextSelectionSet, ObjectType, OutputType, Positioned, ServerResult, Value,
    indexmap::{IndexMap, map::Entry},
    parser::types::{Field, Selection},
    registry::Registry,
};
use futures::future::BoxFuture;

/// An object whose fields are resolved in place.
pub struct Inline<T>(pub T);

impl<T: ObjectType> OutputType for Inline<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let resolved: BoxFuture<'_, _> = Box::pin(object(ctx, field, &self.0));
        resolved.await
    }
}

/// A list of objects whose items and fields are resolved in place.
pub struct InlineList<T>(pub Vec<T>);

impl<T: ObjectType> OutputType for InlineList<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let resolved: BoxFuture<'_, _> = Box::pin(list(ctx, field, &self.0));
        resolved.await
    }
}

async fn list<T: ObjectType>(
    ctx: &ContextSelectionSet<'_>,
    field: &Positioned<Field>,
    items: &[T],
) -> ServerResult<Value> {
    let items = items.iter().enumerate().map(|(index, item)| {
        let ctx = ctx.clone();
        async move {
            let ctx = ctx.with_index(index);
            object(&ctx, field, item).await.map_err(|error| ctx.set_error_path(error))
        }
    });
    all(items).await.map(Value::List)
}

/// Whether the fields can be resolved one by one, without a look at fragments and directives.
fn is_plain(ctx: &ContextSelectionSet<'_>) -> bool {
    ctx.item.node.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => field.node.directives.is_empty(),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
    })
}

async fn object<T: ObjectType>(
    ctx: &ContextSelectionSet<'_>,
    field: &Positioned<Field>,
    object: &T,
) -> ServerResult<Value> {
    if !is_plain(ctx) {
        return T::resolve(object, ctx, field).await;
    }
    let selected = || {
        ctx.item.node.items.iter().filter_map(|selection| match &selection.node {
            Selection::Field(field) => Some(field),
            _ => None,
        })
    };
    let values = all(selected().map(|field| {
        let ctx = ctx.clone();
        async move {
            if field.node.name.node == "__typename" {
                return Ok(Value::String(object.introspection_type_name().into_owned()));
            }
            let ctx = ctx.with_field(field);
            Ok(object.resolve_field(&ctx).await?.unwrap_or_default())
        }
    }))
    .await?;
    let mut fields = IndexMap::with_capacity(values.len());
    for (field, value) in selected().zip(values) {
        match fields.entry(field.node.response_key().node.clone()) {
            Entry::Vacant(place) => place.insert(value),
            // The two are one; the engine knows how they are put together.
            Entry::Occupied(_) => return T::resolve(object, ctx, field).await,
        };
    }
    Ok(Value::Object(fields))
}

/// The values of all futures, in their order, or the first failure. Each is polled once before the next is made, and only
/// those that must wait are kept.
async fn all<F: Future<Output = ServerResult<Value>>>(futures: impl Iterator<Item = F>) -> ServerResult<Vec<Value>> {
    let mut values = Vec::with_capacity(futures.size_hint().0);
    let mut waiting: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut fresh = Some(futures);
    poll_fn(move |cx| {
        let done = match fresh.take() {
            Some(futures) => begin_all(futures, &mut waiting, &mut values, cx),
            None => poll_all(&mut waiting, &mut values, cx),
        };
        done.map_ok(|()| std::mem::take(&mut values))
    })
    .await
}

/// The first poll of all: what is there at once takes no place of its own.
fn begin_all<F: Future<Output = ServerResult<Value>>>(
    futures: impl Iterator<Item = F>,
    waiting: &mut Vec<(usize, Pin<Box<F>>)>,
    values: &mut Vec<Value>,
    cx: &mut Context<'_>,
) -> Poll<ServerResult<()>> {
    let mut place: Option<Pin<Box<F>>> = None;
    for future in futures {
        let mut future = match place.take() {
            None => Box::pin(future),
            Some(mut place) => {
                place.set(future);
                place
            }
        };
        match future.as_mut().poll(cx) {
            Poll::Ready(Ok(value)) => {
                values.push(value);
                place = Some(future);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                waiting.push((values.len(), future));
                values.push(Value::Null);
            }
        }
    }
    if waiting.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
}

fn poll_all<F: Future<Output = ServerResult<Value>>>(
    waiting: &mut Vec<(usize, Pin<Box<F>>)>,
    values: &mut [Value],
    cx: &mut Context<'_>,
) -> Poll<ServerResult<()>> {
    let mut failure = None;
    waiting.retain_mut(|(index, future)| match future.as_mut().poll(cx) {
        Poll::Pending => true,
        Poll::Ready(Ok(value)) => {
            values[*index] = value;
            false
        }
        Poll::Ready(Err(error)) => {
            failure.get_or_insert(error);
            false
        }
    });
    match failure {
        Some(error) => Poll::Ready(Err(error)),
        None if waiting.is_empty() => Poll::Ready(Ok(())),
        None => Poll::Pending,
    }
}

#[cfg(test)]
#[path = "inline_tests.rs"]
mod tests;
