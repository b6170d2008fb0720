//! What an operation is charged for, in the shape of its answer.
//!
//! The pass prices lists by what they may hold; the answer says what they do hold. Scalars cost nothing, so an item
//! stands only for what is an object or declares a cost of its own: pricing an answer looks at no other field.

use async_graphql::{Name, Value};

/// A field that costs something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key in the response.
    pub(super) key: Name,
    /// Points for the field, as soon as it was asked for.
    pub(super) own: u64,
    /// Points for each object that it gives.
    pub(super) each: u64,
    /// What is selected of those.
    pub(super) parts: Vec<Item>,
}

/// The points of a part of an answer.
pub(super) fn total(items: &[Item], data: &Value) -> u64 {
    let Value::Object(fields) = data else { return 0 };
    items.iter().fold(0, |sum: u64, item| {
        // Not there: its fragment was for another type.
        let points = fields.get(&item.key).map_or(0, |value| item.own.saturating_add(objects(item, value)));
        sum.saturating_add(points)
    })
}

fn objects(item: &Item, value: &Value) -> u64 {
    match value {
        Value::Object(_) => item.each.saturating_add(total(&item.parts, value)),
        Value::List(values) => values.iter().fold(0, |sum: u64, value| sum.saturating_add(objects(item, value))),
        _ => 0,
    }
}
