use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Result, Schema};

use super::{Inline, InlineList};

#[derive(Clone, Copy)]
struct Leaf(i32);

#[Object]
impl Leaf {
    async fn number(&self) -> i32 {
        self.0
    }

    async fn late(&self) -> String {
        tokio::task::yield_now().await;
        format!("late {}", self.0)
    }

    async fn fails(&self) -> Result<i32> {
        if self.0 % 2 == 0 { Err("an even one".into()) } else { Ok(self.0) }
    }

    async fn may_fail(&self) -> Option<Result<i32>> {
        tokio::task::yield_now().await;
        Some(if self.0 % 2 == 0 { Err("an even one".into()) } else { Ok(self.0) })
    }
}

/// The same twice: as the engine resolves it, and in place.
struct Engine(i32);

#[Object(name = "Tree")]
impl Engine {
    async fn leaf(&self) -> Leaf {
        Leaf(self.0)
    }

    async fn leaves(&self, count: i32) -> Vec<Leaf> {
        (0..count).map(Leaf).collect()
    }

    async fn tree(&self) -> Option<Result<Engine>> {
        tokio::task::yield_now().await;
        Some(Ok(Engine(self.0 + 1)))
    }

    async fn broken(&self) -> Option<Result<Engine>> {
        Some(Err("no tree".into()))
    }
}

struct InPlace(i32);

#[Object(name = "Tree")]
impl InPlace {
    async fn leaf(&self) -> Inline<Leaf> {
        Inline(Leaf(self.0))
    }

    async fn leaves(&self, count: i32) -> InlineList<Leaf> {
        InlineList((0..count).map(Leaf).collect())
    }

    async fn tree(&self) -> Option<Result<Inline<InPlace>>> {
        tokio::task::yield_now().await;
        Some(Ok(Inline(InPlace(self.0 + 1))))
    }

    async fn broken(&self) -> Option<Result<Inline<InPlace>>> {
        Some(Err("no tree".into()))
    }
}

async fn same(query: &str) -> String {
    let engine = Schema::build(Engine(1), EmptyMutation, EmptySubscription).finish();
    let in_place = Schema::build(InPlace(1), EmptyMutation, EmptySubscription).finish();
    let answer = |response: async_graphql::Response| {
        // Which field fails first is nobody's business.
        let mut errors: Vec<_> = response.errors.iter().map(|error| format!("{:?} {error}", error.path)).collect();
        errors.sort();
        (serde_json::to_string(&response.data).expect("an answer"), errors)
    };
    let expected = answer(engine.execute(Request::new(query)).await);
    assert_eq!(answer(in_place.execute(Request::new(query)).await), expected, "{query}");
    expected.0
}

#[tokio::test]
async fn the_answer_is_the_engines() {
    for query in [
        "{ leaf { number late } }",
        "{ leaf { a: number b: number __typename c: late } }",
        "{ leaf { number number late late } }",
        "{ leaf { number ... on Leaf { late } ...More } } fragment More on Leaf { number other: late }",
        "{ leaf { number @include(if: true) late @skip(if: true) } }",
        "{ tree { leaf { number } tree { leaf { late } leaf { number } } } tree { leaf { other: number } } }",
        "{ leaves(count: 3) { late number } none: leaves(count: 0) { number } }",
        "{ leaves(count: 60) { number late mayFail } }",
        "{ leaf { fails } }",
        "{ tree { leaf { fails } leaves(count: 2) { fails } } }",
        "{ tree { leaf { mayFail } leaves(count: 3) { number mayFail } } leaf { number } }",
        "{ broken { leaf { number } } leaf { number } }",
        "{ tree { broken { leaf { number } } tree { tree { leaves(count: 2) { late } } } } }",
    ] {
        same(query).await;
    }
}

#[tokio::test]
async fn fields_come_in_the_order_in_which_they_are_asked_for() {
    let answer = same("{ leaf { late number __typename } }").await;
    assert_eq!(answer, r#"{"leaf":{"late":"late 1","number":1,"__typename":"Leaf"}}"#);
}
