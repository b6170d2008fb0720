//! Every list that can be paged, found in the schema: forward and backward the pages together are the list, also while
//! rows come and go between them; the total is counted when it is asked for, and up to a bound.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tenantry::{
    clock::Clock,
    ids::{GroupId, Id, MemberId, ProjectId, RoleId, UserId, WorkspaceId},
};
use tokio_postgres::Client;

use super::{
    plans::with_children,
    walk::{Ids, List, Walk},
};
use crate::support::{
    app::{TestApp, TestTenant, TestUser},
    database::migrated,
};

/// How many rows come before a list is read, so that it has some pages.
const ROWS: i64 = 14;

/// How rows of a kind come and go behind the server's back, by number. `{rows}` are the numbered rows to insert, with an
/// id, an instant and a name that several have; `{gone}` is a condition on the ids of those to delete.
struct Kind {
    node: &'static str,
    insert: &'static str,
    delete: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        node: "Task",
        insert: "INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title, due_on, created_at) \
            SELECT {tenant}, id, {prj}, {wsp}, {mbr}, name, CASE WHEN n % 4 > 0 THEN date '2031-01-01' + (n % 3)::int END, at FROM {rows}",
        delete: "DELETE FROM tasks WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "Project",
        insert: "INSERT INTO projects (tenant_id, id, workspace_id, name, created_at) SELECT {tenant}, id, {wsp}, name, at FROM {rows}",
        delete: "DELETE FROM projects WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "Workspace",
        insert: "INSERT INTO workspaces (tenant_id, id, slug, name, parent_workspace_id, created_at) \
            SELECT {tenant}, id, 'row-' || n, name, {wsp}, at FROM {rows}",
        delete: "DELETE FROM workspaces WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "WorkspaceMember",
        insert: "INSERT INTO members (tenant_id, id, user_id, joined_at, created_at) SELECT {tenant}, id, id, at, at FROM {rows}; \
            INSERT INTO workspace_members (tenant_id, id, workspace_id, member_id, created_at) SELECT {tenant}, id, {wsp}, id, at FROM {rows}",
        delete: "DELETE FROM workspace_members WHERE tenant_id = {tenant} AND id {gone}; \
            DELETE FROM members WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "Member",
        insert: "INSERT INTO users (id, display_name) SELECT id, name FROM {rows}; \
            INSERT INTO members (tenant_id, id, user_id, joined_at, created_at) SELECT {tenant}, id, id, at, at FROM {rows}",
        delete: "DELETE FROM members WHERE tenant_id = {tenant} AND id {gone}; DELETE FROM users WHERE id {gone}",
    },
    Kind {
        node: "Membership",
        insert: "INSERT INTO tenants (id, slug, name, status, plan_id) SELECT r.id, 'row-' || n, r.name, 'active', p.id FROM {rows}, plans p WHERE p.key = 'free'; \
            INSERT INTO members (tenant_id, id, user_id, joined_at) SELECT id, id, {usr}, at FROM {rows}; \
            INSERT INTO membership_index (user_id, tenant_id, member_id) SELECT {usr}, id, id FROM {rows}",
        delete: "DELETE FROM membership_index WHERE tenant_id {gone}; DELETE FROM members WHERE tenant_id {gone}; DELETE FROM tenants WHERE id {gone}",
    },
    Kind {
        node: "Group",
        insert: "INSERT INTO groups (tenant_id, id, name, created_at) SELECT {tenant}, id, 'Row ' || n, at FROM {rows}",
        delete: "DELETE FROM groups WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "GroupMember",
        insert: "INSERT INTO members (tenant_id, id, user_id, joined_at) SELECT {tenant}, id, id, at FROM {rows}; \
            INSERT INTO group_members (tenant_id, group_id, member_id) SELECT {tenant}, {grp}, id FROM {rows}",
        delete: "DELETE FROM group_members WHERE tenant_id = {tenant} AND member_id {gone}; \
            DELETE FROM members WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "Role",
        insert: "INSERT INTO roles (tenant_id, id, key, name, level, created_at) SELECT {tenant}, id, 'row_' || n, name, 'tenant', at FROM {rows}",
        delete: "DELETE FROM roles WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "RoleGrant",
        insert: "INSERT INTO role_grants (tenant_id, id, member_id, role_id, created_at) SELECT {tenant}, id, id, {rol}, at FROM {rows}",
        delete: "DELETE FROM role_grants WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "ServiceAccount",
        insert: "INSERT INTO service_accounts (tenant_id, id, name, created_at) SELECT {tenant}, id, 'Row ' || n, at FROM {rows}",
        delete: "DELETE FROM service_accounts WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "ApiKey",
        insert: "INSERT INTO api_keys (tenant_id, id, name, prefix, hint, owner_member_id, created_at) \
            SELECT {tenant}, id, name, 'tnk_live', 'abcd', {mbr}, at FROM {rows}",
        delete: "DELETE FROM api_keys WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "AuditLog",
        insert: "INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, source) \
            SELECT {tenant}, id, at, 'task.create', 'success', 'system', 'api' FROM {rows}",
        delete: "DELETE FROM audit_logs WHERE tenant_id = {tenant} AND id {gone}",
    },
    Kind {
        node: "AccessChange",
        insert: "INSERT INTO access_changes (tenant_id, id, at, audit_id, action, subject_kind, subject_id, actor_kind) \
            SELECT {tenant}, id, at, id, 'role_grant.create', 'member', {mbr}, 'system' FROM {rows}",
        delete: "DELETE FROM access_changes WHERE tenant_id = {tenant} AND id {gone}",
    },
];

/// A tenant whose lists have something in them, and the hand that changes them.
struct Stage {
    tenant: TestTenant,
    ids: Ids,
    client: Client,
    walk: Walk,
}

impl Stage {
    /// On a database of its own: rows come and go without triggers and foreign keys.
    async fn set() -> Self {
        let app = TestApp::on(std::sync::Arc::new(migrated().await), Clock::system(), |settings| {
            // Nothing is kept between requests, so that no entry can end in the middle of a comparison.
            settings.auth.rights_cache_ttl_ms = 0;
        })
        .await;
        let tenant = app.tenant().await;
        let ids = with_children(&tenant).await;
        let client = app.database.connect("tenantry").await;
        client.batch_execute("SET session_replication_role = replica").await.expect("a superuser");
        Self { tenant, ids, client, walk: Walk::new() }
    }

    async fn run(&self, sql: &str, rows: std::ops::RangeInclusive<i64>) {
        let id = |prefix: &str| self.ids[prefix].as_str();
        let (from, to) = (rows.start(), rows.end());
        let numbered = format!(
            "(SELECT n, md5('row ' || n)::uuid AS id, timestamptz '2026-01-01 00:00Z' + n * 7919 % 13 * interval '1 minute' AS at, \
             'Row ' || n * 7919 % 5 AS name FROM generate_series({from}, {to}) AS n) AS r"
        );
        let uuids = [
            ("{tenant}", self.tenant.id.uuid()),
            ("{wsp}", id("wsp").parse::<WorkspaceId>().expect("an id").uuid()),
            ("{prj}", id("prj").parse::<ProjectId>().expect("an id").uuid()),
            ("{mbr}", id("mbr").parse::<MemberId>().expect("an id").uuid()),
            ("{usr}", id("usr").parse::<UserId>().expect("an id").uuid()),
            ("{grp}", id("grp").parse::<GroupId>().expect("an id").uuid()),
            ("{rol}", id("rol").parse::<RoleId>().expect("an id").uuid()),
        ];
        let gone = format!("IN (SELECT md5('row ' || n)::uuid FROM generate_series({from}, {to}) AS n)");
        let mut sql = sql.replace("{rows}", &numbered).replace("{gone}", &gone);
        for (name, uuid) in uuids {
            sql = sql.replace(name, &format!("'{uuid}'::uuid"));
        }
        self.client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    }

    fn reader<'a>(&'a self, list: &'a List) -> Reader<'a> {
        let key = if self.walk.has_field(&list.node, "id") { "id" } else { "memberId" };
        let selection = format!("nodes {{ {key} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}");
        let (document, variables) = self.walk.list_document(list, &self.ids, &selection);
        Reader { owner: &self.tenant.owner, list, document, variables, key }
    }
}

fn kind_of(list: &List) -> &'static Kind {
    let kind = KINDS.iter().find(|kind| kind.node == list.node);
    kind.unwrap_or_else(|| {
        panic!("how do rows of {} come and go? {} can be paged; say it in KINDS", list.node, list.label())
    })
}

/// Who reads a list.
struct Reader<'a> {
    owner: &'a TestUser,
    list: &'a List,
    document: String,
    variables: Value,
    key: &'static str,
}

impl Reader<'_> {
    /// The ids on a page, and its `pageInfo`.
    async fn page(&self, asked: Value) -> (Vec<String>, Value) {
        let mut variables = self.variables.clone();
        for (name, value) in asked.as_object().expect("an object").iter().filter(|(_, value)| !value.is_null()) {
            variables[name] = value.clone();
        }
        let reply = self.owner.query(&self.document, variables).await;
        let page = reply.data().pointer(&self.list.pointer()).expect("a page").clone();
        let nodes = page["nodes"].as_array().expect("nodes").iter();
        let ids = nodes.map(|node| node[self.key].as_str().expect("an id").to_owned()).collect();
        (ids, page["pageInfo"].clone())
    }

    async fn whole(&self, order: &Value) -> Vec<String> {
        let (ids, info) = self.page(json!({ "first": 100, "orderBy": order })).await;
        assert_eq!(info["hasNextPage"], false, "{} has too many rows for this test", self.list.label());
        ids
    }

    /// The next page behind this cursor, or the one before it: its ids, and the cursor to go on from.
    async fn next(
        &self,
        order: &Value,
        is_forward: bool,
        cursor: Option<&str>,
        size: u32,
    ) -> (Vec<String>, Option<String>) {
        let (asked, goes_on, end) = match is_forward {
            true => (json!({ "first": size, "after": cursor, "orderBy": order }), "hasNextPage", "endCursor"),
            false => (json!({ "last": size, "before": cursor, "orderBy": order }), "hasPreviousPage", "startCursor"),
        };
        let (mut ids, info) = self.page(asked).await;
        if !is_forward {
            ids.reverse();
        }
        let end = info[end].as_str().map(str::to_owned);
        (ids, end.filter(|_| info[goes_on] == true))
    }
}

#[tokio::test]
async fn pages_show_every_row_once_while_others_come_and_go() {
    let stage = Stage::set().await;
    let lists = stage.walk.lists();
    assert!(lists.len() > 20, "only {} lists: the walk does not see them", lists.len());
    for list in &lists {
        let kind = kind_of(list);
        let reader = stage.reader(list);
        stage.run(kind.insert, 1..=ROWS).await;
        for order in stage.walk.orders(list) {
            let whole = reader.whole(&order).await;
            assert!(whole.len() >= ROWS as usize, "{} does not show the rows of its kind", list.label());
            for is_forward in [true, false] {
                let mut shown = all_pages(&reader, &order, is_forward, 5, async || {}).await;
                if !is_forward {
                    shown.reverse();
                }
                assert_eq!(shown, whole, "{} {order}, forward: {is_forward}", list.label());
                disturbed(&stage, kind, &reader, &order, is_forward).await;
            }
        }
        stage.run(kind.delete, 1..=ROWS).await;
    }
}

/// Every page of a list from one end to the other; between two of them, something happens.
async fn all_pages(
    reader: &Reader<'_>,
    order: &Value,
    is_forward: bool,
    size: u32,
    mut between: impl AsyncFnMut(),
) -> Vec<String> {
    let (mut shown, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let (ids, end) = reader.next(order, is_forward, cursor.as_deref(), size).await;
        shown.extend(ids);
        if end.is_none() {
            return shown;
        }
        cursor = end;
        between().await;
    }
}

/// Reads a list page by page while rows are inserted and deleted.
async fn disturbed(stage: &Stage, kind: &Kind, reader: &Reader<'_>, order: &Value, is_forward: bool) {
    let label = format!("{} {order}, forward: {is_forward}", reader.list.label());
    // The same every time for the same list, and different for each.
    let mut random = StdRng::seed_from_u64(label.bytes().fold(0, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte)));
    let before = reader.whole(order).await;
    let mut there: Vec<i64> = (1..=ROWS).collect();
    let mut next = ROWS + 1;
    let size = random.random_range(1..=4);
    let shown = all_pages(reader, order, is_forward, size, async || {
        for _ in 0..random.random_range(0..3) {
            // Not for ever: what is read grows no longer than it was.
            if random.random_bool(0.5) && next < 2 * ROWS {
                stage.run(kind.insert, next..=next).await;
                there.push(next);
                next += 1;
            } else if there.len() > 5 {
                let gone = there.swap_remove(random.random_range(0..there.len()));
                stage.run(kind.delete, gone..=gone).await;
            }
        }
    })
    .await;
    let after: BTreeSet<String> = reader.whole(order).await.into_iter().collect();
    let mut stayed: Vec<_> = before.into_iter().filter(|id| after.contains(id)).collect();
    if !is_forward {
        stayed.reverse();
    }
    let known: BTreeSet<_> = stayed.iter().collect();
    assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len(), "{label}: a row was shown twice");
    let seen: Vec<_> = shown.iter().filter(|id| known.contains(id)).collect();
    assert_eq!(seen, stayed.iter().collect::<Vec<_>>(), "{label}: what was there all the time");
    // As it was, for the next one.
    stage.run(kind.delete, 1..=2 * ROWS).await;
    stage.run(kind.insert, 1..=ROWS).await;
}

/// The cost of asking for a page of one: statements, and the total if it was asked for.
async fn asked(stage: &Stage, list: &List, selection: &str) -> (u64, Value) {
    let (document, mut variables) = stage.walk.list_document(list, &stage.ids, selection);
    variables["first"] = json!(1);
    let reply = stage.tenant.owner.query(&document, variables).await;
    let total = reply.data().pointer(&list.pointer()).expect("a page")["totalCount"].clone();
    (reply.body["extensions"]["cost"]["sqlStatements"].as_u64().expect("a count"), total)
}

#[tokio::test]
async fn totals_are_counted_when_selected_and_up_to_a_bound() {
    let stage = Stage::set().await;
    for list in stage.walk.lists() {
        let kind = kind_of(&list);
        let page = "nodes { __typename }";
        let (without, _) = asked(&stage, &list, page).await;
        let (with, total) = asked(&stage, &list, &format!("{page} totalCount")).await;
        assert_eq!(with, without + 1, "{}: one statement more for the total", list.label());
        let more = 10_000 - total.as_i64().expect("a total");
        stage.run(kind.insert, 1..=more).await;
        // As autovacuum does after a while: until then plans are those for a few rows.
        stage.client.batch_execute("ANALYZE").await.expect("a superuser");
        assert_eq!(asked(&stage, &list, "totalCount").await.1, json!(10_000), "{}", list.label());
        stage.run(kind.insert, more + 1..=more + 1).await;
        assert_eq!(asked(&stage, &list, "totalCount").await.1, Value::Null, "{}", list.label());
        stage.run(kind.delete, 1..=more + 1).await;
    }
}
