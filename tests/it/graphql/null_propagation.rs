//! An error nulls its field if that may be null, else its parent, up to `data` (GraphQL, October 2021, section 6.4.4).
//!
//! async-graphql 7.1 to 7.2 drop the key of a failing non-null field instead; 7.0 wipes the parent for a `Result<Option<T>>`
//! that fails. So fields that may fail on their own are `Option<Result<T>>`, and this test holds what we rely on.

use async_graphql::{EmptySubscription, Error, Object, Response, Result, Schema, SimpleObject, value};
use tenantry::graphql::{ApiError, ErrorCode};

struct Query;

/// Fields that work and fields that fail.
struct Thing(i32);

/// A thing without resolvers.
#[derive(SimpleObject)]
struct Plain {
    name: String,
}

fn failure<T>() -> Result<T> {
    Err(ApiError::new(ErrorCode::Internal, "It failed.").into())
}

#[Object]
impl Query {
    async fn fine(&self) -> i32 {
        1
    }

    async fn failing_nullable(&self) -> Option<Result<i32>> {
        Some(failure())
    }

    async fn failing_nullable_object(&self) -> Option<Result<Plain>> {
        Some(failure())
    }

    async fn failing(&self) -> Result<i32> {
        failure()
    }

    async fn thing(&self) -> Option<Result<Thing>> {
        Some(Ok(Thing(0)))
    }

    async fn sure_thing(&self) -> Result<Thing> {
        Ok(Thing(0))
    }

    async fn things(&self) -> Option<Result<Vec<Thing>>> {
        Some(Ok(vec![Thing(0), Thing(1), Thing(2)]))
    }

    async fn things_or_null(&self) -> Option<Result<Vec<Option<Thing>>>> {
        Some(Ok(vec![Some(Thing(0)), Some(Thing(1)), None]))
    }

    async fn late(&self) -> Option<Result<i32>> {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        Some(failure())
    }
}

#[Object]
impl Thing {
    async fn name(&self) -> String {
        format!("thing {}", self.0)
    }

    async fn failing_nullable(&self) -> Option<Result<String>> {
        Some(failure())
    }

    async fn failing(&self) -> Result<String> {
        failure()
    }

    async fn odd_fails(&self) -> Result<i32> {
        if self.0 % 2 == 1 { failure() } else { Ok(self.0) }
    }

    async fn inner(&self) -> Thing {
        Thing(self.0 + 10)
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn works(&self) -> Option<Result<Plain>> {
        Some(Ok(Plain { name: "done".into() }))
    }

    async fn fails(&self) -> Option<Result<Plain>> {
        Some(failure())
    }
}

async fn ask(text: &str) -> Response {
    Schema::new(Query, Mutation, EmptySubscription).execute(text).await
}

fn codes(response: &Response) -> Vec<String> {
    let code = |error: &async_graphql::ServerError| error.extensions.as_ref()?.get("code").map(ToString::to_string);
    response.errors.iter().map(|error| code(error).unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_nullable_field_that_fails_is_null_and_nothing_else() {
    let reply = ask("{ fine failingNullable failingNullableObject { name } late again: fine }").await;
    let expected =
        value!({ "fine": 1, "failingNullable": null, "failingNullableObject": null, "late": null, "again": 1 });
    assert_eq!(reply.data, expected);
    assert_eq!(codes(&reply), [r#""INTERNAL""#; 3]);
    let paths: Vec<_> = reply.errors.iter().map(|error| serde_json::to_value(&error.path).unwrap()).collect();
    let expected = ["failingNullable", "failingNullableObject", "late"];
    for field in expected {
        assert!(paths.contains(&serde_json::json!([field])), "{field} in {paths:?}");
    }
}

#[tokio::test]
async fn below_the_root_as_well() {
    let reply = ask("{ thing { name failingNullable inner { failingNullable name } } fine }").await;
    let inner = value!({ "failingNullable": null, "name": "thing 10" });
    assert_eq!(
        reply.data,
        value!({ "thing": { "name": "thing 0", "failingNullable": null, "inner": inner }, "fine": 1 })
    );
    assert_eq!(reply.errors.len(), 2);
}

#[tokio::test]
async fn a_non_null_field_that_fails_nulls_its_parent() {
    let reply = ask("{ thing { name failing } fine }").await;
    assert_eq!(reply.data, value!({ "thing": null, "fine": 1 }));
    assert_eq!(reply.errors.len(), 1);
    assert_eq!(serde_json::to_value(&reply.errors[0].path).unwrap(), serde_json::json!(["thing", "failing"]));
    // Through a parent that may not be null either, to the next that may.
    let reply = ask("{ thing { name inner { failing } } fine }").await;
    assert_eq!(reply.data, value!({ "thing": null, "fine": 1 }));
}

#[tokio::test]
async fn up_to_the_whole_data() {
    for text in ["{ fine failing }", "{ fine sureThing { failing } }", "{ fine sureThing { inner { failing } } }"] {
        let reply = ask(text).await;
        assert_eq!(reply.data, value!(null), "{text}");
        assert_eq!(reply.errors.len(), 1, "{text}");
    }
}

#[tokio::test]
async fn an_item_of_a_list_nulls_the_list_or_itself() {
    let reply = ask("{ things { oddFails } fine }").await;
    assert_eq!(reply.data, value!({ "things": null, "fine": 1 }));
    let reply = ask("{ thingsOrNull { oddFails } fine }").await;
    assert_eq!(reply.data, value!({ "thingsOrNull": [{ "oddFails": 0 }, null, null], "fine": 1 }));
    assert_eq!(reply.errors.len(), 1);
}

#[tokio::test]
async fn a_mutation_that_fails_hides_no_other() {
    let reply = ask("mutation { first: works { name } fails { name } second: works { name } }").await;
    assert_eq!(reply.data, value!({ "first": { "name": "done" }, "fails": null, "second": { "name": "done" } }));
    assert_eq!(codes(&reply), [r#""INTERNAL""#]);
}

#[tokio::test]
async fn an_error_keeps_its_message_and_nothing_of_its_cause() {
    let error: Error = ApiError::internal().into();
    assert!(error.source.is_none());
    assert_eq!(error.message, "Something failed on our side. The request id finds it in the logs.");
}
