//! Pages: forwards and backwards the same list, in every order, and cursors that are good for one list only.

use serde_json::{Value, json};

use crate::support::app::{TestApp, TestUser};

const PAGE: &str = "query($first: Int, $after: String, $last: Int, $before: String, $orderBy: TaskOrder, $filter: TaskFilter) { \
    tasks(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy, filter: $filter) { \
    nodes { id title dueOn } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }";

async fn page(user: &TestUser, variables: Value) -> Value {
    user.query(PAGE, variables).await.data()["tasks"].clone()
}

fn ids(page: &Value) -> Vec<String> {
    let nodes = page["nodes"].as_array().expect("nodes");
    nodes.iter().map(|node| node["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn both_ways_through_every_order_give_the_same_list() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let rows: Vec<_> = (0..23)
        .map(|number| {
            let due = (number % 3 > 0).then(|| format!("2031-01-{:02}", number % 5 + 1));
            json!({ "title": format!("Demo {}", number % 7), "dueOn": due })
        })
        .collect();
    tenant.owner.mutate("tasksImport", "count", json!({ "projectId": project, "rows": rows })).await;
    for field in ["CREATED_AT", "DUE_ON", "TITLE"] {
        for direction in ["ASC", "DESC"] {
            let order = json!({ "field": field, "direction": direction });
            let whole = page(&tenant.owner, json!({ "first": 100, "orderBy": order })).await;
            assert_eq!((ids(&whole).len(), &whole["totalCount"]), (23, &json!(23)), "{order}");
            let (mut forwards, mut after) = (Vec::new(), None::<String>);
            loop {
                let page = page(&tenant.owner, json!({ "first": 4, "after": after, "orderBy": order })).await;
                assert_eq!(page["pageInfo"]["hasPreviousPage"], after.is_some());
                forwards.extend(ids(&page));
                after = page["pageInfo"]["endCursor"].as_str().map(str::to_owned);
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(forwards, ids(&whole), "{order}");
            let (mut backwards, mut before) = (Vec::new(), None::<String>);
            loop {
                let page = page(&tenant.owner, json!({ "last": 4, "before": before, "orderBy": order })).await;
                let mut shown = ids(&page);
                shown.extend(std::mem::take(&mut backwards));
                backwards = shown;
                before = page["pageInfo"]["startCursor"].as_str().map(str::to_owned);
                if page["pageInfo"]["hasPreviousPage"] == false {
                    break;
                }
            }
            assert_eq!(backwards, ids(&whole), "{order}");
        }
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_one_list_of_one_tenant() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    for tenant in [&ours, &theirs] {
        let project = tenant.project("Atlas").await;
        tenant.task(&project, "One").await;
        tenant.task(&project, "Two").await;
    }
    let first = page(&ours.owner, json!({ "first": 1 })).await;
    let cursor = &first["pageInfo"]["endCursor"];
    let order = json!({ "field": "TITLE", "direction": "ASC" });
    for (user, variables) in [
        (&theirs.owner, json!({ "first": 1, "after": cursor })),
        (&ours.owner, json!({ "first": 1, "after": cursor, "orderBy": order })),
        (&ours.owner, json!({ "first": 1, "after": cursor, "filter": { "states": ["DONE"] } })),
        (&ours.owner, json!({ "first": 1, "after": "bm9uc2Vuc2U" })),
    ] {
        let reply = user.query(PAGE, variables.clone()).await;
        assert_eq!(reply.codes(), ["INVALID_CURSOR"], "{variables}");
    }
    for bad in [
        json!({ "first": 0 }),
        json!({ "first": 101 }),
        json!({ "first": 1, "last": 1 }),
        json!({ "last": 1, "after": cursor }),
    ] {
        assert_eq!(ours.owner.query(PAGE, bad.clone()).await.codes(), ["BAD_USER_INPUT"], "{bad}");
    }
}

#[tokio::test]
async fn filters_narrow_the_list_and_its_total() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let member = tenant.member("member").await.member;
    let rows = json!([
        { "title": "A", "state": "DONE", "dueOn": "2031-01-01" },
        { "title": "B", "state": "TODO", "dueOn": "2031-01-05", "assigneeId": member },
        { "title": "C", "state": "IN_PROGRESS", "dueOn": "2031-01-09", "assigneeId": member },
        { "title": "D" },
    ]);
    tenant.owner.mutate("tasksImport", "count", json!({ "projectId": project, "rows": rows })).await;
    for (filter, expected) in [
        (json!({ "states": ["DONE", "TODO"] }), vec!["A", "B", "D"]),
        (json!({ "assigneeId": member }), vec!["B", "C"]),
        (json!({ "dueFrom": "2031-01-05", "dueTo": "2031-01-08" }), vec!["B"]),
        (json!({ "assigneeId": member, "states": ["IN_PROGRESS"] }), vec!["C"]),
        (json!({ "projectId": project, "dueFrom": "2031-01-01" }), vec!["A", "B", "C"]),
    ] {
        let order = json!({ "field": "TITLE", "direction": "ASC" });
        let page = page(&tenant.owner, json!({ "filter": filter, "orderBy": order })).await;
        let titles: Vec<_> = page["nodes"]
            .as_array()
            .expect("nodes")
            .iter()
            .map(|node| node["title"].as_str().expect("a title"))
            .collect();
        assert_eq!(titles, expected, "{filter}");
        assert_eq!(page["totalCount"], expected.len());
    }
}
