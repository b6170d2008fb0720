use std::{collections::HashSet, sync::LazyLock};

use async_graphql::Variables;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::graphql::error::code_of;

const SDL: &str = r#"
scalar Permission
interface Node { id: ID! }
union Found = Task | Key
type Query {
  public: String @public
  node(id: ID!): Node @authenticated
  nodes(ids: [ID!]!): [Node]! @authenticated @listSize(slicingArguments: ["ids"])
  found: Found @authenticated
  viewer: Viewer! @authenticated
  tasks(first: Int, last: Int): TaskConnection @requiresScopes(scopes: [["tasks:read"]]) @tenantScoped @listSize(assumedSize: 25, slicingArguments: ["first", "last"])
  defaulted(first: Int = 40): TaskConnection @requiresScopes(scopes: [["tasks:read"]]) @listSize(assumedSize: 25, slicingArguments: ["first"])
  either: String @requiresScopes(scopes: [["roles:read", "groups:read"], ["access:explain"]])
  operators: String @requiresScopes(scopes: [["platform:tenants_read"]])
}
type Mutation {
  signIn(password: String!): Payload @public
  taskCreate(title: String): Payload @requiresScopes(scopes: [["tasks:write"]]) @tenantScoped @audited(action: "task.create")
  bigExport: Payload @requiresScopes(scopes: [["exports:create"]]) @audited(action: "export.create") @cost(weight: 100)
}
type Payload { task: Task userErrors: [UserError!]! }
type UserError @cost(weight: 0) { code: String! }
type Viewer { name: String! permissions: [String!]! tasks: [Task!]! @listSize(assumedSize: 5) }
type TaskConnection { edges: [TaskEdge!]! nodes: [Task!]! pageInfo: PageInfo! totalCount: Int @cost(weight: 10) }
type TaskEdge @cost(weight: 0) { node: Task! cursor: String! }
type PageInfo @cost(weight: 0) { hasNextPage: Boolean! }
type Task implements Node @tenantScoped @requiresScopes(scopes: [["tasks:read"]]) {
  id: ID! title: String! parent: Task project: Project comments(first: Int): TaskConnection @listSize(assumedSize: 25, slicingArguments: ["first"])
}
type Project implements Node { id: ID! name: String! members: [Viewer!] @requiresScopes(scopes: [["members:read"]]) }
type Key implements Node @tenantScoped @requiresScopes(scopes: [["api_keys:read"]]) { id: ID! hint: String! }
directive @public on FIELD_DEFINITION
schema { query: Query mutation: Mutation }
"#;

fn table() -> &'static PolicyTable {
    static TABLE: LazyLock<PolicyTable> = LazyLock::new(|| PolicyTable::from_sdl(SDL).expect("a sound schema"));
    &TABLE
}

fn caller<'a>(allows: &'a dyn Fn(Permission) -> bool) -> Caller<'a> {
    Caller { is_authenticated: true, has_tenant: true, may_introspect: true, allows }
}

fn run(text: &str, variables: serde_json::Value, caller: &Caller<'_>, limits: &Limits) -> Result<Plan, Refusal> {
    let document = document::parse(text, limits)?;
    let mut variables = Variables::from_json(variables);
    let (_, operation) = document::operation(&document, None).map_err(|error| Refusal::of(error, None))?;
    document::complete_variables(&operation.node, &mut variables);
    check(table(), &document, None, &variables, caller, limits)
}

/// The plan for somebody who may do anything.
fn plan(text: &str) -> Result<Plan, Refusal> {
    run(text, json!({}), &caller(&|_| true), &Limits::default())
}

fn cost(text: &str) -> u64 {
    plan(text).expect("allowed").cost
}

fn refused(text: &str) -> ErrorCode {
    plan(text).expect_err("refused").code
}

/// Code and paths with what each needs, for somebody with exactly these rights.
fn refusal_of(text: &str, held: &[Permission]) -> (ErrorCode, Vec<(String, String)>) {
    let refusal = run(text, json!({}), &caller(&|one| held.contains(&one)), &Limits::default()).expect_err("refused");
    let errors = refusal.errors.iter().map(|error| {
        assert_eq!(code_of(error), Some(refusal.code));
        assert_eq!(error.locations.len(), 1);
        let path = error.path.iter().map(|segment| match segment {
            async_graphql::PathSegment::Field(name) => name.clone(),
            async_graphql::PathSegment::Index(index) => index.to_string(),
        });
        let needs = error.extensions.as_ref().and_then(|values| values.get("requiredScopes"));
        (path.collect::<Vec<_>>().join("."), needs.map(ToString::to_string).unwrap_or_default())
    });
    (refusal.code, errors.collect())
}

#[test]
fn every_offending_field_is_named_with_what_it_needs() {
    let (code, places) = refusal_of("{ mine: tasks { nodes { title } } either public viewer { name } }", &[]);
    assert_eq!(code, ErrorCode::Forbidden);
    let tasks = r#"[["tasks:read"]]"#.to_owned();
    let expected = [
        ("mine".to_owned(), tasks.clone()),
        ("mine.nodes".to_owned(), tasks),
        ("either".to_owned(), r#"[["groups:read", "roles:read"], ["access:explain"]]"#.to_owned()),
    ];
    let sorted: HashSet<_> = places
        .into_iter()
        .map(|(path, needs)| (path, needs.replace(r#""roles:read", "groups:read""#, r#""groups:read", "roles:read""#)))
        .collect();
    assert_eq!(sorted, HashSet::from(expected));
}

#[test]
fn one_of_the_outer_lists_in_full_is_enough() {
    use Permission::*;
    let allowed = |held: &[Permission]| {
        run("{ either }", json!({}), &caller(&|one| held.contains(&one)), &Limits::default()).is_ok()
    };
    assert!(allowed(&[AccessExplain]));
    assert!(allowed(&[RolesRead, GroupsRead]));
    assert!(!allowed(&[RolesRead]));
}

#[test]
fn an_object_declares_for_every_way_to_it() {
    let held = [Permission::TasksRead];
    for way in [
        r#"{ node(id: "x") { ... on Key { hint } } }"#,
        r#"{ node(id: "x") { ... on Node { ... on Key { hint } } } }"#,
        r#"{ node(id: "x") { ...K } } fragment K on Key { hint }"#,
        r#"{ nodes(ids: ["x"]) { ...N } } fragment N on Node { ...K } fragment K on Key { hint }"#,
        "{ found { ... on Key { hint } } }",
    ] {
        let (code, places) = refusal_of(way, &held);
        assert_eq!(code, ErrorCode::Forbidden, "{way}");
        assert_eq!(places[0].1, r#"[["api_keys:read"]]"#, "{way}");
    }
    for way in [
        r#"{ node(id: "x") { id ... on Task { title parent { title } } } }"#,
        "{ found { __typename ... on Task { title } } }",
        "{ tasks { nodes { ... on Node { id } ... on Task { title project { name } } } } }",
    ] {
        assert!(run(way, json!({}), &caller(&|one| held.contains(&one)), &Limits::default()).is_ok(), "{way}");
    }
}

#[test]
fn a_field_below_that_needs_more_is_named() {
    let text = "{ tasks { edges { node { project { name people: members { name } } } } } }";
    let (_, places) = refusal_of(text, &[Permission::TasksRead]);
    assert_eq!(places, [("tasks.edges.node.project.people".to_owned(), r#"[["members:read"]]"#.to_owned())]);
}

#[test]
fn who_is_unknown_hears_nothing_about_rights() {
    let nobody = Caller { is_authenticated: false, has_tenant: false, may_introspect: false, allows: &|_| false };
    let limits = Limits::default();
    assert!(run("{ public }", json!({}), &nobody, &limits).is_ok());
    let refusal =
        run("{ public viewer { name } tasks { nodes { id } } }", json!({}), &nobody, &limits).expect_err("unknown");
    assert_eq!(refusal.code, ErrorCode::Unauthenticated);
    assert_eq!(refusal.errors.len(), 3);
    let refusal = run("mutation { taskCreate { task { id } } }", json!({}), &nobody, &limits).expect_err("unknown");
    assert_eq!(refusal.audited, [Box::<str>::from("task.create")]);
    assert_eq!(
        run("{ __schema { types { name } } }", json!({}), &nobody, &limits).expect_err("unknown").code,
        ErrorCode::Unauthenticated
    );
}

#[test]
fn a_field_of_a_tenant_needs_one() {
    let held = |one: Permission| one == Permission::PlatformTenantsRead;
    let outside = Caller { has_tenant: false, ..caller(&held) };
    let limits = Limits::default();
    let refusal = |text| run(text, json!({}), &outside, &limits).expect_err("refused").code;
    assert_eq!(refusal("{ tasks { nodes { id } } }"), ErrorCode::TenantRequired);
    assert_eq!(refusal(r#"{ node(id: "x") { ... on Key { hint } } }"#), ErrorCode::TenantRequired);
    assert_eq!(refusal("{ either }"), ErrorCode::TenantRequired);
    assert!(run("{ viewer { name } operators }", json!({}), &outside, &limits).is_ok());
    assert_eq!(refusal_of("{ operators }", &[]).0, ErrorCode::Forbidden);
}

#[test]
fn only_what_is_left_out_is_not_checked() {
    let limits = Limits::default();
    let nothing = caller(&|_| false);
    let allowed = |text: &str, variables| run(text, variables, &nothing, &limits).is_ok();
    assert!(allowed("{ public either @skip(if: true) }", json!({})));
    assert!(allowed("{ public either @include(if: false) }", json!({})));
    assert!(allowed(
        "{ public ... @include(if: false) { either } ...E @skip(if: true) } fragment E on Query { either }",
        json!({})
    ));
    assert!(!allowed("{ public either @skip(if: false) }", json!({})));
    let skip = "query ($x: Boolean!) { public either @skip(if: $x) }";
    assert!(allowed(skip, json!({ "x": true })));
    assert!(!allowed(skip, json!({ "x": false })));
    // What is not a truth value is looked at; validation refuses it afterwards.
    assert!(!allowed(skip, json!({ "x": "true" })));
    let include = "query ($x: Boolean = false) { public either @include(if: $x) }";
    assert!(allowed(include, json!({})));
    assert!(!allowed(include, json!({ "x": true })));
    assert!(!allowed(include, json!({ "x": null })));
}

#[test]
fn what_is_taken_in_the_end_is_the_price_of_the_answer() {
    let plan = |text: &str| run(text, json!({}), &caller(&|_| true), &Limits::default()).expect("a plan");
    let actual = |plan: &Plan, data| plan.actual_cost(&Value::from_json(data).expect("an answer"));
    let list = plan("{ all: tasks(first: 10) { nodes { project { name } } totalCount } viewer { name } }");
    assert_eq!(list.cost, 2 + 10 * 2 + 10 + 1);
    let nodes = json!([{ "project": { "name": "a" } }, { "project": null }]);
    let answer = json!({ "all": { "nodes": nodes, "totalCount": 2 }, "viewer": null });
    assert_eq!(actual(&list, answer), 2 + (1 + 1) + 1 + 10);
    assert_eq!(actual(&list, json!(null)), 1, "nothing came back, and nothing is free");
    let many: Vec<_> = (0..50).map(|_| json!({ "project": { "name": "a" } })).collect();
    assert_eq!(actual(&list, json!({ "all": { "nodes": many } })), list.cost, "never more than was asked for");
    // What is asked for twice, under one key, is not paid less than once.
    let twice = plan("{ viewer { name } ... on Query { viewer { name } } }");
    assert!((1..=twice.cost).contains(&actual(&twice, json!({ "viewer": { "name": "a" } }))));
}

#[test]
fn the_price_follows_size_and_weight() {
    // Nothing is free.
    assert_eq!(cost("{ public }"), 1);
    assert_eq!(cost("{ viewer { name } }"), 1);
    assert_eq!(cost("{ viewer { tasks { title } } }"), 1 + 5);
    // A connection is 2 + size × child, whether by nodes or by edges.
    assert_eq!(cost("{ tasks { nodes { title } } }"), 2 + 25);
    assert_eq!(cost("{ tasks(first: 10) { edges { cursor node { title } } pageInfo { hasNextPage } } }"), 2 + 10);
    assert_eq!(cost("{ tasks(last: 3) { nodes { project { name } } } }"), 2 + 3 * 2);
    assert_eq!(cost("{ tasks(first: 3, last: 7) { nodes { title } } }"), 2 + 7);
    assert_eq!(cost("{ tasks { totalCount } }"), 2 + 10);
    assert_eq!(cost("{ tasks(first: 10) { nodes { comments(first: 5) { nodes { title } } } } }"), 2 + 10 * (1 + 2 + 5));
    assert_eq!(cost("{ defaulted { nodes { title } } }"), 2 + 40);
    assert_eq!(cost(r#"{ nodes(ids: ["a", "b", "c"]) { id } }"#), 3);
    assert_eq!(cost("mutation { taskCreate { task { id } userErrors { code } } }"), 10 + 1);
    assert_eq!(cost("mutation { bigExport { userErrors { code } } }"), 100);
    // A page that is too large is for the resolver to refuse.
    assert_eq!(cost("{ tasks(first: 100000) { nodes { title } } }"), 2 + 100);
    assert_eq!(cost("{ tasks(first: -1) { nodes { title } } }"), 2);
}

#[test]
fn the_price_follows_variables_and_their_defaults() {
    let text = "query ($n: Int = 7, $ids: [ID!]!) { tasks(first: $n) { nodes { title } } nodes(ids: $ids) { id } }";
    let cost = |variables| run(text, variables, &caller(&|_| true), &Limits::default()).expect("allowed").cost;
    assert_eq!(cost(json!({ "ids": [] })), 2 + 7);
    assert_eq!(cost(json!({ "n": 4, "ids": ["a", "b"] })), 2 + 4 + 2);
    assert_eq!(cost(json!({ "n": null, "ids": [] })), 2 + 25);
}

#[test]
fn what_is_too_large_has_its_own_code() {
    assert_eq!(
        refused(&format!("{{ tasks {{ nodes {{ {} id {} }} }} }}", "parent { ".repeat(10), "}".repeat(10))),
        ErrorCode::QueryTooDeep
    );
    assert_eq!(
        refused(&format!("{{ {} }}", (0..31).map(|n| format!("a{n}: __typename ")).collect::<String>())),
        ErrorCode::QueryTooWide
    );
    assert_eq!(refused(&format!("{{ {} }}", "public ".repeat(21))), ErrorCode::QueryTooWide);
    assert_eq!(
        refused(&format!("mutation {{ {} }}", "taskCreate { __typename } ".repeat(11))),
        ErrorCode::QueryTooWide
    );
    assert_eq!(refused(&format!("{{ public {} }}", "@skip(if: false) ".repeat(21))), ErrorCode::QueryTooWide);
    assert_eq!(refused(&format!("{{ {} }}", "public ".repeat(5_000))), ErrorCode::QueryTooWide);
    assert_eq!(
        refused("{ tasks(first: 100) { nodes { comments(first: 100) { nodes { title } } } } }"),
        ErrorCode::QueryTooComplex
    );
    assert_eq!(refused(&format!("{{ public(a: {}1{}) }}", "[".repeat(70), "]".repeat(70))), ErrorCode::QueryTooDeep);
    assert!(plan(&format!("{{ public(a: {}1{}) }}", "[".repeat(60), "]".repeat(60))).is_ok());
    assert_eq!(refused("{ public "), ErrorCode::GraphqlParseFailed);
    assert_eq!(refused(""), ErrorCode::GraphqlParseFailed);
    assert_eq!(refused("query A { public } query B { public }"), ErrorCode::OperationNotFound);
}

#[test]
fn a_parse_error_says_where_and_what() {
    let refusal = plan("{ public(").expect_err("no GraphQL");
    assert_eq!((refusal.errors[0].locations[0].line, refusal.errors[0].locations[0].column), (1, 10));
    assert!(
        refusal.errors[0].message.starts_with("The document is not GraphQL: expected "),
        "{}",
        refusal.errors[0].message
    );
    assert!(!refusal.errors[0].message.contains('\n'));
}

#[test]
fn the_operation_is_found_by_name() {
    let document =
        document::parse("query A { public } query B { viewer { name } }", &Limits::default()).expect("parses");
    let check = |name| check(table(), &document, name, &Variables::default(), &caller(&|_| true), &Limits::default());
    assert_eq!(check(Some("B")).expect("is there").operation_name, Some(Name::new("B")));
    assert_eq!(check(Some("C")).expect_err("is not there").code, ErrorCode::OperationNotFound);
    assert_eq!(check(None).expect_err("not clear").code, ErrorCode::OperationNotFound);
}

#[test]
fn the_plan_says_what_will_run() {
    let plan = plan("mutation Both { a: taskCreate { task { id } } signIn(password: \"x\") { task { id } } }")
        .expect("allowed");
    assert_eq!(plan.operation_type, OperationType::Mutation);
    assert_eq!(plan.root_fields.iter().map(|field| field.key.as_str()).collect::<Vec<_>>(), ["a", "signIn"]);
    assert_eq!(plan.audited().collect::<Vec<_>>(), [(&Name::new("a"), "task.create")]);
    assert!(!plan.is_introspection_only);
}

#[test]
fn questions_about_the_schema_stand_alone() {
    let plan = plan(
        "{ __typename __schema { types { name fields { name args { name } type { ofType { ofType { name } } } } } } }",
    )
    .expect("allowed");
    assert!(plan.is_introspection_only);
    assert_eq!(refused("{ public __schema { types { name } } }"), ErrorCode::GraphqlValidationFailed);
    let nested = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    assert_eq!(refused(nested), ErrorCode::QueryTooDeep);
}

#[test]
fn fragments_that_loop_or_multiply_are_refused_at_once() {
    assert_eq!(
        refused("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"),
        ErrorCode::GraphqlValidationFailed
    );
    let doubling: String =
        (0..30).map(|n| format!("fragment F{n} on Query {{ ...F{} ...F{} }} ", n + 1, n + 1)).collect();
    let doubling = format!("{{ ...F0 }} {doubling} fragment F30 on Query {{ public }}");
    assert_eq!(refused(&doubling), ErrorCode::QueryTooComplex);
    // The other operation of the document is looked at by the engine as well.
    let other = doubling.replacen("{ ...F0 }", "query A { public } query B { ...F0 }", 1);
    assert_eq!(document::parse(&other, &Limits::default()).expect_err("multiplies").code, ErrorCode::QueryTooComplex);
    let chain: String = (0..600).map(|n| format!("fragment F{n} on Query {{ ...F{} }} ", n + 1)).collect();
    assert_eq!(refused(&format!("{{ ...F0 }} {chain} fragment F600 on Query {{ public }}")), ErrorCode::QueryTooDeep);
    // The walk holds by itself, for documents that did not come from `parse`.
    for text in [doubling, "{ ...A } fragment A on Query { ...A ...A }".to_owned()] {
        let parsed = async_graphql::parser::parse_query(text).expect("parses");
        assert!(check(table(), &parsed, None, &Variables::default(), &caller(&|_| true), &Limits::default()).is_err());
    }
}

#[test]
fn what_the_schema_does_not_have_is_left_to_validation() {
    for text in [
        "{ nothing { at { all } } }",
        "{ ...Missing public }",
        "{ ... on Nowhere { here } }",
        "{ viewer { ... on Key { hint } } }",
        "subscription { tasks }",
        "{ public { inside } }",
    ] {
        assert!(plan(text).is_ok(), "{text}");
    }
}

#[test]
fn wrong_declarations_are_all_named() {
    let sdl = r#"
        interface Node { id: ID! }
        type Query {
          open: String
          both: String @public @authenticated
          unknown: String @requiresScopes(scopes: [["tasks:fly"]])
          empty: String @requiresScopes(scopes: [[]])
          none: String @requiresScopes(scopes: [])
          list(first: Int): [String!] @public @listSize(slicingArguments: ["last"])
          price: String @public @cost(weight: -1)
          fine: Task @public
        }
        type Task implements Node { id: ID! @requiresScopes(scopes: [["tasks:read"]]) }
        schema { query: Query }
    "#;
    let errors = PolicyTable::from_sdl(sdl).expect_err("wrong");
    let places: Vec<_> = errors.iter().map(|error| error.at.as_str()).collect();
    let expected = [
        "Query.both",
        "Query.empty",
        "Query.list",
        "Query.none",
        "Query.open",
        "Query.price",
        "Query.unknown",
        "Task.id",
    ];
    assert_eq!(places, expected, "{errors:#?}");
    assert!(PolicyTable::from_sdl("type Query {").is_err());
    assert!(PolicyTable::from_sdl("type Query { a: String @public }").is_err());
}

const LEAVES: &[&str] = &[
    "public",
    "viewer",
    "tasks(first: $n)",
    "a: nodes(ids: [\"x\"])",
    "node(id: $n)",
    "title",
    "parent",
    "edges",
    "__typename",
    "__schema",
    "...F",
    "...G @skip(if: $x)",
    "nope",
];
const HEADS: &[&str] = &[
    "viewer",
    "tasks(last: 3)",
    "nodes",
    "node(id: 1)",
    "... on Task",
    "...",
    "... on Node @include(if: $x)",
    "__type(name: \"x\")",
    "fields",
    "b: tasks",
];

/// Documents out of the words of the schema, nested and mixed at random.
fn selection() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(LEAVES).prop_map(str::to_owned);
    leaf.prop_recursive(8, 64, 5, |inner| {
        let set = proptest::collection::vec(inner, 1..5).prop_map(|items| format!("{{ {} }}", items.join(" ")));
        (proptest::sample::select(HEADS), set).prop_map(|(head, set)| format!("{head} {set}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_document_is_answered(a in selection(), b in selection(), c in selection(), x: Option<bool>, n: Option<i64>, all: bool) {
        let text = format!("query ($x: Boolean = true, $n: Int) {{ {a} {b} }} fragment F on Task {{ {b} }} fragment G on Query {{ {c} ...F }}");
        let variables = json!({ "x": x, "n": n });
        let wide = run(&text, variables.clone(), &caller(&|_| true), &Limits::default());
        let narrow = run(&text, variables, &caller(&|_| all), &Limits::default());
        // Fewer rights never open anything, and never change the price.
        if let Ok(plan) = narrow {
            prop_assert_eq!(Ok(plan), wide);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_text_is_answered(text in r#"([{}()\[\]"$@!:.]|"""|\.\.\.|on |a|F|fragment |query |[0-9]|\\|#|\n| ){0,200}"#) {
        let _ = plan(&text);
        let _ = PolicyTable::from_sdl(&text);
    }

    #[test]
    fn tokens_are_counted_as_the_parser_sees_them(words in proptest::collection::vec(proptest::sample::select(vec!["a", "-1", "\"x\"", "\"\\\"\"", "\"\"\"b { \"\"\"", "\"\"", "true", "1.5e3"]), 1..40)) {
        // `{ f(v: [ … ]) }` is 9 tokens and the values; 1.5e3 is three here, which only makes the limit tighter.
        let text = format!("{{ f(v: [{}]) }} # }} ( [", words.join(" "));
        let floats = words.iter().filter(|word| word.contains('.')).count() as u32;
        let tokens = 9 + words.len() as u32;
        let with = |limit| document::parse(&text, &Limits { tokens: limit, ..Limits::default() }).is_ok();
        prop_assert!(with(tokens + 2 * floats));
        prop_assert!(!with(tokens - 1));
    }
}
