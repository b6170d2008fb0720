//! Who is found by which text, and how the database finds them.

use std::time::{Duration, Instant};

use serde_json::json;
use tenantry::{db::embedded::SUPERUSER, ids::Id};

use crate::support::app::{TestApp, TestTenant, TestUser};

async fn named(tenant: &TestTenant, name: &str) -> TestUser {
    let person = tenant.member("member").await;
    rename(tenant, &person, name).await;
    person
}

async fn rename(tenant: &TestTenant, person: &TestUser, name: &str) {
    let sql = format!("UPDATE users SET display_name = '{name}' WHERE id = '{}'", person.user.uuid());
    tenant.app.database.run(SUPERUSER, &sql).await;
}

/// The names that a search finds, oldest member first, and how many it says there are.
async fn found(user: &TestUser, search: &str) -> (Vec<String>, i64) {
    let query = "query($s: String) { members(search: $s, first: 100, orderBy: { field: CREATED_AT, direction: ASC }) \
                 { totalCount nodes { displayName } } }";
    let reply = user.query(query, json!({ "s": search })).await;
    let nodes = reply.data()["members"]["nodes"].as_array().expect("nodes").clone();
    let names = nodes.iter().map(|node| node["displayName"].as_str().expect("a name").to_owned()).collect();
    (names, reply.data()["members"]["totalCount"].as_i64().expect("a total"))
}

async fn names(user: &TestUser, search: &str) -> Vec<String> {
    let (names, total) = found(user, search).await;
    assert_eq!(names.len() as i64, total, "{search}");
    names
}

#[tokio::test]
async fn a_search_finds_words_by_their_beginning_and_inside() {
    let tenant = TestApp::start().await.tenant().await;
    for name in ["Ada Lovelace", "Łukasz Ångström", "Zoë Straße", "Ada Byron", "王芳"] {
        named(&tenant, name).await;
    }
    let owner = &tenant.owner;
    for (search, expected) in [
        ("ada lov", vec!["Ada Lovelace"]),
        ("LOVE ada", vec!["Ada Lovelace"]),
        ("elac", vec!["Ada Lovelace"]),
        ("ada", vec!["Ada Lovelace", "Ada Byron"]),
        ("ada b", vec!["Ada Byron"]),
        ("ada y", vec![]),
        ("angstrom", vec!["Łukasz Ångström"]),
        ("lukasz", vec!["Łukasz Ångström"]),
        ("ÅNGST", vec!["Łukasz Ångström"]),
        ("zoe strasse", vec!["Zoë Straße"]),
        ("王芳", vec!["王芳"]),
        ("lovelace ada ada lovelace", vec!["Ada Lovelace"]),
        ("%da", vec!["Ada Lovelace", "Ada Byron"]),
        ("a_l", vec!["Ada Lovelace", "Łukasz Ångström"]),
        ("--", vec![]),
        ("nobody here", vec![]),
    ] {
        assert_eq!(names(owner, search).await, expected, "{search}");
    }
    for (search, is_good) in
        [("a", false), (" a ", false), ("ab", true), (&*"x".repeat(100), true), (&*"x".repeat(101), false)]
    {
        let reply =
            owner.query("query($s: String) { members(search: $s) { totalCount } }", json!({ "s": search })).await;
        let codes = if is_good { vec![] } else { vec!["BAD_USER_INPUT"] };
        assert_eq!(reply.codes(), codes, "{search}");
    }
}

#[tokio::test]
async fn the_terms_follow_every_change_of_a_name_or_an_address() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant().await, app.tenant().await);
    let person = named(&tenant, "Grace Hopper").await;
    let owner = &tenant.owner;
    assert_eq!(names(owner, "hopper").await, ["Grace Hopper"]);
    assert!(names(&other.owner, "hopper").await.is_empty());
    // By another name of the person, in every tenant.
    super::add(&other, person.user, "member", None).await;
    rename(&tenant, &person, "Grace Murray").await;
    for owner in [owner, &other.owner] {
        assert_eq!(names(owner, "murray").await, ["Grace Murray"]);
        assert!(names(owner, "hopper").await.is_empty());
    }
    // By the name in this tenant, and still by the person's own.
    let input = json!({ "id": person.member, "displayName": "The Admiral" });
    owner.mutate("memberUpdate", super::MEMBER, input).await;
    assert_eq!(names(owner, "admiral").await, ["The Admiral"]);
    assert_eq!(names(owner, "murray").await, ["The Admiral"]);
    assert!(names(&other.owner, "admiral").await.is_empty());
    // By the verified primary address and by no other.
    let (db, id) = (&app.database, person.user.uuid());
    db.run(SUPERUSER, &format!("UPDATE user_emails SET email = 'whirlwind@navy.test' WHERE user_id = '{id}'")).await;
    assert_eq!(names(owner, "whirlwind").await, ["The Admiral"]);
    let address = |email: &str, verified: &str| {
        format!(
            "INSERT INTO user_emails (id, user_id, email, email_norm, verified_at) \
             VALUES (gen_random_uuid(), '{id}', '{email}', '{email}', {verified})"
        )
    };
    db.run(SUPERUSER, &address(&format!("cobol-{id}@navy.test"), "now()")).await;
    assert!(names(owner, "cobol").await.is_empty());
    db.run(SUPERUSER, &format!("UPDATE user_emails SET is_primary = false WHERE user_id = '{id}'")).await;
    assert!(names(owner, "whirlwind").await.is_empty());
    let promote = format!("UPDATE user_emails SET is_primary = true WHERE user_id = '{id}' AND email LIKE 'cobol-%'");
    db.run(SUPERUSER, &promote).await;
    assert_eq!(names(owner, "cobol navy").await, ["The Admiral"]);
    let unverify = format!("UPDATE user_emails SET verified_at = NULL WHERE user_id = '{id}' AND is_primary");
    db.run(SUPERUSER, &unverify).await;
    assert!(names(owner, "cobol").await.is_empty());
    // Gone with the membership, and with nothing left behind.
    owner.mutate("memberRemove", "memberId", json!({ "id": person.member })).await;
    assert!(names(owner, "murray").await.is_empty());
    let client = db.connect(SUPERUSER).await;
    let member = person.member.expect("a member").uuid().to_string();
    let left = client.query_one("SELECT count(*) FROM search_terms WHERE target_id::text = $1", &[&member]).await;
    assert_eq!(left.expect("a count").get::<_, i64>(0), 0);
    assert_eq!(names(&other.owner, "murray").await, ["Grace Murray"]);
}

#[tokio::test]
async fn a_search_goes_with_filters_pages_and_what_one_may_see() {
    let tenant = TestApp::start().await.tenant().await;
    let mut all = Vec::new();
    for number in 0..5 {
        all.push(named(&tenant, &format!("Demo Person {number}")).await);
    }
    let suspended = json!({ "id": all[2].member });
    tenant.owner.mutate("memberSuspend", super::MEMBER, suspended).await;
    let page = "query($after: String, $s: String) { members(search: $s, first: 2, after: $after, filter: { status: ACTIVE }) \
                { totalCount pageInfo { endCursor hasNextPage } nodes { displayName } } }";
    let (mut after, mut seen) = (json!(null), Vec::new());
    for expected in [2, 2] {
        let reply = tenant.owner.query(page, json!({ "s": "demo pers", "after": after })).await;
        let members = &reply.data()["members"];
        assert_eq!(members["totalCount"], 4);
        assert_eq!(members["nodes"].as_array().expect("nodes").len(), expected);
        seen.extend(members["nodes"].as_array().expect("nodes").iter().map(|node| node["displayName"].clone()));
        after = members["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, ["Demo Person 4", "Demo Person 3", "Demo Person 1", "Demo Person 0"]);
    // A cursor of one search is none of another.
    let other = tenant.owner.query(page, json!({ "s": "demo", "after": after })).await;
    assert_eq!(other.codes(), ["INVALID_CURSOR"]);
    // Who sees the members of one workspace only, finds those only.
    let viewer = tenant.member_on("workspace_viewer", Some(tenant.workspace)).await;
    assert!(names(&viewer, "demo").await.is_empty());
    let input = json!({ "workspaceId": tenant.workspace, "memberId": all[1].member });
    tenant.owner.mutate("workspaceMemberAdd", "workspaceMember { id }", input).await;
    assert_eq!(names(&viewer, "demo").await, ["Demo Person 1"]);
}

/// The statement that a search really sends, caught while it waits for a lock, and the plan that the runtime login gets for
/// it: the terms are conditions of the index, and no row is read to be thrown away.
#[tokio::test]
async fn terms_are_conditions_of_the_index() {
    let app = TestApp::isolated().await;
    let tenant = app.tenant().await;
    named(&tenant, "Ada Lovelace").await;
    // Enough of them that reading the whole tenant would not do.
    let fill = "INSERT INTO search_terms (tenant_id, kind, term, target_id) SELECT id, 'member', substr(md5(n::text), 1, 3), \
                gen_random_uuid() FROM tenants, generate_series(1, 20000) AS n; ANALYZE search_terms";
    app.database.run(SUPERUSER, fill).await;
    let name = &app.database.name;
    let locker = app.database.connect(SUPERUSER).await;
    locker.batch_execute("BEGIN; LOCK TABLE search_terms IN ACCESS EXCLUSIVE MODE").await.expect("locks");
    let asking = {
        let owner = tenant.owner.clone();
        tokio::spawn(async move { owner.query("{ members(search: \"ada lov\") { nodes { id } } }", json!({})).await })
    };
    let watcher = app.database.connect(SUPERUSER).await;
    let began = Instant::now();
    let sent: String = loop {
        let sql = "SELECT query FROM pg_stat_activity WHERE datname = $1 AND usename = 'tenantry_app' \
                   AND wait_event_type = 'Lock' AND query LIKE '%search_terms%'";
        if let Some(row) = watcher.query_opt(sql, &[name]).await.expect("asks") {
            break row.get(0);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "the search never asked for its table");
        tokio::task::yield_now().await;
    };
    locker.batch_execute("ROLLBACK").await.expect("unlocks");
    assert_eq!(asking.await.expect("no panic").codes(), Vec::<&str>::new());
    let size: String = watcher.query_one("SHOW track_activity_query_size", &[]).await.expect("asks").get(0);
    assert!(sent.len() < size.trim_end_matches("kB").parse::<usize>().unwrap_or(1024).max(1024) - 1, "cut off: {sent}");

    let client = app.database.connect("tenantry_app").await;
    client
        .batch_execute(&format!(
            "BEGIN; SET LOCAL app.tenant_id = '{}'; SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = \
             force_generic_plan; PREPARE search AS {sent}",
            tenant.id.uuid()
        ))
        .await
        .expect("prepares");
    let count = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'search'";
    let parameters: i32 = client.query_one(count, &[]).await.expect("a count").get(0);
    let nulls = vec!["NULL"; usize::try_from(parameters).expect("not negative")].join(", ");
    let plan = client.query(&format!("EXPLAIN EXECUTE search({nulls})"), &[]).await.expect("a plan");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let text = plan.join("\n");
    let at = plan.iter().position(|line| line.contains("on search_terms")).unwrap_or_else(|| panic!("{text}"));
    assert!(plan[at].contains("search_terms_pkey"), "{text}");
    let conditions = &plan[at + 1];
    for part in ["Index Cond", "tenant_id = ", "kind = ", "term = ANY"] {
        assert!(conditions.contains(part), "{part} is missing in {conditions}\n{text}");
    }
    assert!(!text.contains("Filter: (term") && !text.contains("Filter: (search_terms"), "{text}");
}
