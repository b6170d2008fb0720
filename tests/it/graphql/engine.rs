//! The policy pass and the engine together: they see the same selection, and no document keeps either busy.

use std::time::{Duration, Instant};

use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Response, Schema, Variables, value};
use serde_json::json;
use tenantry::{
    access::Permission,
    graphql::{
        ErrorCode,
        directives::{public, requires_scopes},
        policy::{self, Caller, Limits, Plan, PolicyTable, Refusal, document},
    },
};

struct Query;

#[Object]
impl Query {
    /// For anybody.
    #[graphql(directive = public::apply())]
    async fn open(&self) -> i32 {
        1
    }

    /// For the few.
    #[graphql(directive = requires_scopes::apply(Permission::BillingRead))]
    async fn closed(&self) -> Option<i32> {
        Some(2)
    }

    /// The same again.
    #[graphql(directive = public::apply())]
    async fn query(&self) -> Query {
        Query
    }
}

/// Passes and runs a document as the server does, for somebody without any permission.
async fn ask(text: &str, variables: serde_json::Value) -> Result<(Plan, Response), Refusal> {
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let table = PolicyTable::from_sdl(&schema.sdl()).expect("sound declarations");
    let limits = Limits::default();
    let document = document::parse(text, &limits)?;
    let mut variables = Variables::from_json(variables);
    let (_, operation) = document::operation(&document, None).expect("one operation");
    document::complete_variables(&operation.node, &mut variables);
    let caller = Caller { is_authenticated: true, has_tenant: true, may_introspect: true, allows: &|_| false };
    let plan = policy::check(&table, &document, None, &variables, &caller, &limits)?;
    let mut request = Request::new(text).variables(variables);
    request.set_parsed_query(document);
    Ok((plan, schema.execute(request).await))
}

#[tokio::test]
async fn pass_and_engine_leave_out_the_same() {
    let with = "query ($x: Boolean = true) { open closed @include(if: $x) }";
    assert!(ask(with, json!({})).await.is_err());
    assert!(ask(with, json!({ "x": true })).await.is_err());
    let (_, reply) = ask(with, json!({ "x": false })).await.expect("left out");
    assert_eq!(reply.data, value!({ "open": 1 }));
    let without = "query ($x: Boolean = true) { open ...C } fragment C on Query { closed @skip(if: $x) }";
    let (_, reply) = ask(without, json!({})).await.expect("left out");
    assert_eq!(reply.data, value!({ "open": 1 }));
    assert!(ask(without, json!({ "x": false })).await.is_err());
}

#[tokio::test]
async fn a_required_variable_without_a_value_is_refused() {
    let text = "query ($x: Boolean!, $y: [Int!]! = [1], $z: Int!) { open @skip(if: $x) }";
    for variables in [json!({}), json!({ "x": null, "z": null })] {
        let refusal = ask(text, variables).await.expect_err("refused");
        assert_eq!(refusal.code, ErrorCode::GraphqlValidationFailed);
        let messages: Vec<_> = refusal.errors.iter().map(|error| error.message.as_str()).collect();
        let expected = [
            "The variable $x has the type Boolean! and needs a value.",
            "The variable $z has the type Int! and needs a value.",
        ];
        assert_eq!(messages, expected);
    }
}

#[tokio::test]
async fn what_passed_and_is_unsound_fails_validation() {
    for text in [
        "{ open nothing }",
        "{ open ...Missing }",
        "{ open } fragment Unused on Query { open }",
        "{ open } fragment A on Query { ...B } fragment B on Query { ...A ...A }",
    ] {
        let began = Instant::now();
        let (_, reply) = ask(text, json!({})).await.expect("passes");
        assert_eq!(reply.data, value!(null), "{text}");
        assert!(!reply.errors.is_empty(), "{text}");
        assert!(began.elapsed() < Duration::from_secs(5), "{text}");
    }
}

#[tokio::test]
async fn no_document_within_the_limits_keeps_the_engine_busy() {
    // As many fragments as the tokens allow, each used by the next one twice until the selections run out.
    let fragments: String =
        (0..11).map(|n| format!("fragment F{n} on Query {{ query {{ ...F{} ...F{} }} }} ", n + 1, n + 1)).collect();
    let wide = "open ".repeat(4_000);
    let texts = [
        format!("{{ ...F0 }} {fragments} fragment F11 on Query {{ open }}"),
        format!("{{ query {{ {wide} }} }}"),
        format!("{{ open {} }}", "... { ".repeat(31) + "open" + &" }".repeat(31)),
    ];
    for text in texts {
        let began = Instant::now();
        let _ = ask(&text, json!({})).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{text:.60}");
    }
}

#[tokio::test]
async fn the_plan_names_what_the_engine_answers() {
    let (plan, reply) = ask("query Q { a: open b: query { open } }", json!({})).await.expect("allowed");
    let keys: Vec<_> = plan.root_fields.iter().map(|field| field.key.to_string()).collect();
    let async_graphql::Value::Object(data) = reply.data else { panic!("no data") };
    assert_eq!(keys, data.keys().map(ToString::to_string).collect::<Vec<_>>());
}
