use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_graphql::{EmptyMutation, EmptySubscription, Result, Schema, SimpleObject, value};
use proptest::prelude::*;

use super::*;
use crate::graphql::{codes::ErrorCode, cursor::CursorKey};

/// A number.
#[derive(SimpleObject)]
pub struct NumberNode {
    /// The number itself.
    value: i64,
}

connection!(NumberConnection, NumberEdge, NumberNode, "A page of numbers.");

/// A list of the numbers from 1 to `.0`, paged like a table.
struct Numbers(i64, Arc<AtomicUsize>);

/// The root.
#[async_graphql::Object]
impl Numbers {
    /// The numbers.
    async fn numbers(
        &self,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Option<Result<NumberConnection>> {
        let page = numbers(self.0, PageArgs { first, after, last, before });
        let (total, counted) = (self.0, self.1.clone());
        let counted = page.map(|page| {
            page.counted(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                async move { if total < 0 { Err(ApiError::internal()) } else { Ok(Some(total)) } }
            })
        });
        Some(counted.map(NumberConnection).map_err(Into::into))
    }
}

fn numbers(count: i64, args: PageArgs) -> Result<Page<NumberNode>, ApiError> {
    let request = args.check()?;
    let cursors = CursorKey::new(&[1; 32]).list(None, "Query.numbers", &(), "value");
    let from = request.cursor.as_deref().map(|text| cursors.open::<(i64,)>(text)).transpose()?;
    let forward = request.direction == Direction::Forward;
    let wanted = move |value: &i64| {
        from.as_ref().is_none_or(|from| (*value > from.values.0) == forward && *value != from.values.0)
    };
    let rows: Vec<_> = match forward {
        true => (1..=count).filter(wanted).take(request.size + 1).collect(),
        false => (1..=count).rev().filter(wanted).take(request.size + 1).collect(),
    };
    let rows = rows.into_iter().map(|value| NumberNode { value }).collect();
    Ok(Page::of_rows(rows, &request, move |node: &NumberNode| cursors.seal(&(node.value,), uuid::Uuid::nil())))
}

fn args(first: Option<i32>, after: Option<&str>, last: Option<i32>, before: Option<&str>) -> PageArgs {
    PageArgs { first, after: after.map(Into::into), last, before: before.map(Into::into) }
}

#[test]
fn arguments_that_contradict_each_other_are_refused() {
    for (wrong, argument) in [
        (args(Some(1), None, Some(1), None), "last"),
        (args(None, Some("x"), Some(1), None), "after"),
        (args(Some(1), None, None, Some("x")), "before"),
        (args(None, None, None, Some("x")), "before"),
        (args(None, Some("x"), None, Some("x")), "before"),
        (args(Some(0), None, None, None), "first"),
        (args(Some(-1), None, None, None), "first"),
        (args(Some(101), None, None, None), "first"),
        (args(None, None, Some(101), None), "last"),
    ] {
        let error = wrong.clone().check().expect_err("contradicts itself");
        assert_eq!(error.code, ErrorCode::BadUserInput, "{wrong:?}");
        assert_eq!(error.extension("argument"), Some(&argument.into()), "{wrong:?}");
    }
    assert_eq!(PageArgs::default().check().expect("fine").size, DEFAULT_PAGE_SIZE);
    assert_eq!(args(None, None, Some(100), Some("x")).check().expect("fine").direction, Direction::Backward);
}

#[tokio::test]
async fn the_types_show_the_page_and_count_only_when_asked() {
    let counted = Arc::new(AtomicUsize::new(0));
    let schema = Schema::new(Numbers(5, counted.clone()), EmptyMutation, EmptySubscription);
    let shown = schema.execute("{ numbers(first: 2) { nodes { value } edges { node { value } } pageInfo { hasNextPage hasPreviousPage } } }").await;
    assert_eq!(shown.errors, []);
    assert_eq!(
        shown.data,
        value!({ "numbers": {
            "nodes": [{ "value": 1 }, { "value": 2 }],
            "edges": [{ "node": { "value": 1 } }, { "node": { "value": 2 } }],
            "pageInfo": { "hasNextPage": true, "hasPreviousPage": false },
        } })
    );
    assert_eq!(counted.load(Ordering::SeqCst), 0);
    let total = schema.execute("{ numbers { totalCount } }").await;
    assert_eq!(total.data, value!({ "numbers": { "totalCount": 5 } }));
    assert_eq!(counted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_count_that_fails_or_is_too_large_nulls_only_itself() {
    let large = Schema::new(Numbers(20_000, Default::default()), EmptyMutation, EmptySubscription);
    let shown = large.execute("{ numbers(first: 1) { totalCount nodes { value } } }").await;
    assert_eq!(shown.data, value!({ "numbers": { "totalCount": null, "nodes": [{ "value": 1 }] } }));
    assert_eq!(shown.errors, []);
    let failing = Schema::new(Numbers(-1, Default::default()), EmptyMutation, EmptySubscription);
    let shown = failing.execute("{ numbers(first: 1) { totalCount nodes { value } } }").await;
    assert_eq!(shown.data, value!({ "numbers": { "totalCount": null, "nodes": [] } }));
    assert_eq!(shown.errors.len(), 1);
}

#[test]
fn the_schema_text_of_a_connection() {
    let schema = Schema::new(Numbers(5, Default::default()), EmptyMutation, EmptySubscription);
    let sdl = schema.sdl_with_options(async_graphql::SDLExportOptions::new().prefer_single_line_descriptions());
    let connection =
        sdl.split("type NumberConnection").nth(1).and_then(|rest| rest.split('}').next()).expect("is there");
    assert!(connection.contains("edges: [NumberEdge!]!"), "{connection}");
    assert!(connection.contains("nodes: [NumberNode!]!"), "{connection}");
    assert!(connection.contains("pageInfo: PageInfo!"), "{connection}");
    assert!(connection.contains("totalCount: Int @cost(weight: 10)"), "{connection}");
}

proptest! {
    #[test]
    fn pages_together_are_the_list(count in 0i64..60, size in 1i32..20, forward: bool) {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let asked = match forward {
                true => PageArgs { first: Some(size), after: cursor.clone(), ..Default::default() },
                false => PageArgs { last: Some(size), before: cursor.clone(), ..Default::default() },
            };
            let page = numbers(count, asked).expect("a page");
            prop_assert!(page.items.is_sorted_by_key(|node| node.value));
            prop_assert!(page.items.len() <= size as usize);
            let (goes_on, came_from) = if forward { (page.has_next, page.has_previous) } else { (page.has_previous, page.has_next) };
            prop_assert_eq!(came_from, cursor.is_some());
            cursor = if forward { page.last_cursor() } else { page.first_cursor() };
            let values: Vec<_> = page.items.iter().map(|node| node.value).collect();
            if forward { seen.extend(values); } else { seen.splice(0..0, values); }
            if !goes_on { break; }
        }
        prop_assert_eq!(seen, (1..=count).collect::<Vec<_>>());
    }

    #[test]
    fn any_arguments_are_answered(first: Option<i32>, last: Option<i32>, after in proptest::option::of(".{0,9}"), before in proptest::option::of(".{0,9}")) {
        if let Ok(request) = (PageArgs { first, after, last, before }).check() {
            prop_assert!((1..=MAX_PAGE_SIZE).contains(&request.size));
        }
    }
}
