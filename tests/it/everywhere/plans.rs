//! The plans of all statements of the runtime login, in a database of 1,000 tenants: no table of tenants is read whole,
//! every index is entered by the tenant, and what an index is meant to find is not looked for row by row.
//!
//! The statements are those that the server really prepares while every list, field and mutation is asked for. The plans
//! are generic ones, as at run time (docs/adr/0017-one-plan-for-each-statement.md). What is excepted stands at the top.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

use serde_json::{Value, json};
use tenantry::{clock::Clock, db::embedded::SUPERUSER};
use tokio_postgres::Client;

use super::{
    exceptions::BEFORE,
    fixture, statements,
    walk::{Ids, List, Walk},
};
use crate::{
    sockets,
    support::{
        app::{TestApp, TestTenant, TestUser},
        database::migrated,
        socket::Socket,
        tap::{Statements, Tap},
    },
};

/// Plans that break a rule: `(rule, part of the statement, why that is right)`.
const EXCEPTIONS: &[(Rule, &str, &str)] = &[
    (Rule::NotByKey, "WITH RECURSIVE chain", "an index that holds the ids is read alone; a tenant has few roles"),
    (Rule::Sorted, "\"workspace_id\" = ANY", "the rows of several workspaces stand in several places of an index"),
    (Rule::Sorted, "FROM \"workspaces\"", "a tenant has few of them, and whether each is seen is asked of each"),
    (
        Rule::Sorted,
        "\"tasks\".\"title\"",
        "by title only the tasks of a workspace have an index: every task is written to each",
    ),
    (Rule::Sorted, "ORDER BY t.title", "the same, under a project or a member"),
    (Rule::Sorted, "\"access_changes\".\"group_id\" = $", "two indexes are asked: of the group, and of who joined it"),
    (Rule::Sorted, "\"search_terms\"", "who is found is few"),
    (Rule::Sorted, "\"role_grants\".\"member_id\" = $2", "a member holds few roles"),
    (Rule::Sorted, "\"role_grants\".\"group_id\" = $2", "a group holds few roles"),
    (Rule::Sorted, "\"role_grants\".\"service_account_id\" = $2", "a service account holds few roles"),
    (Rule::Sorted, "LIMIT 20) AS held", "a member holds few roles"),
    (Rule::Sorted, "FROM user_emails", "a person has few addresses"),
];

/// Indexes that no statement of the walk uses and no constraint needs: `(name, who uses it)`.
const FOR_OTHERS: &[(&str, &str)] = &[("search_terms_target", "the triggers that keep the terms")];

/// Raw statements that no request of the walk leads to: `(part of the text, why)`.
const NOT_ASKED: &[(&str, &str)] = &[];

/// A tenant of the seed that has 1,500 tasks.
const TENANT: &str = "00000001-0001-7000-8000-000000000000";

/// What a plan must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A table of tenants is read whole.
    ReadWhole,
    /// An index is entered by something else than the tenant.
    NotByTenant,
    /// Rows are thrown away by a column that the index has.
    Filtered,
    /// Everything of a tenant is read although a key names the rows (docs/adr/0024-plans-for-large-tenants.md).
    NotByKey,
    /// A page is sorted instead of read in its order.
    Sorted,
}

/// An index as the catalogue has it.
struct Index {
    table: String,
    columns: Vec<String>,
    /// Whether it holds a primary key, a unique constraint or a unique rule.
    is_unique: bool,
    /// Whether it holds every row.
    is_whole: bool,
}

/// What the rules want to know of the database.
struct Catalogue {
    /// The tables of tenants, partitions included.
    tables: BTreeSet<String>,
    indexes: BTreeMap<String, Index>,
    /// The index of the whole table that an index of a partition belongs to.
    parents: BTreeMap<String, String>,
    /// Foreign keys of tables of tenants: the table and the columns.
    references: Vec<(String, BTreeSet<String>)>,
    types: BTreeMap<u32, String>,
}

impl Catalogue {
    async fn read(client: &Client) -> Self {
        let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped \
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnotnull \
            AND (a.attname = 'tenant_id' OR (c.relname = 'tenants' AND a.attname = 'id'))";
        let indexes = "SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text, i.indisunique, i.indpred IS NULL, \
            ARRAY(SELECT coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, n, true)) \
                  FROM generate_series(1, i.indnkeyatts) n LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1] \
                  ORDER BY n) \
            FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace";
        let parents = "SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits";
        let references = "SELECT conrelid::regclass::text, ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)) \
            FROM pg_constraint WHERE contype = 'f'";
        let types = "SELECT oid, format_type(oid, NULL) FROM pg_type";
        let rows = async |sql: &str| client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        Self {
            tables: rows(tables).await.iter().map(|row| row.get(0)).collect(),
            indexes: (rows(indexes).await.iter())
                .map(|row| {
                    let (is_unique, is_whole) = (row.get(2), row.get(3));
                    (row.get(0), Index { table: row.get(1), is_unique, is_whole, columns: row.get(4) })
                })
                .collect(),
            parents: rows(parents).await.iter().map(|row| (row.get(0), row.get(1))).collect(),
            references: (rows(references).await.iter())
                .map(|row| (row.get(0), row.get::<_, Vec<String>>(1).into_iter().collect()))
                .collect(),
            types: rows(types).await.iter().map(|row| (row.get(0), row.get(1))).collect(),
        }
    }

    /// The columns of each key of a table: of what is unique among all its rows.
    fn keys(&self, table: &str) -> impl Iterator<Item = &[String]> {
        let of_table = move |key: &&Index| key.table == table && key.is_unique && key.is_whole;
        self.indexes.values().filter(of_table).map(|key| &key.columns[..])
    }

    fn is_of_tenants(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// The index of the whole table.
    fn whole<'a>(&'a self, index: &'a str) -> &'a str {
        self.parents.get(index).map_or(index, |parent| self.whole(parent))
    }

    /// A value for a place of a statement, so that partitions are chosen as at run time.
    fn sample(&self, oid: u32) -> String {
        let now = tenantry::ids::uuid_v7(Clock::system().now());
        match self.types.get(&oid).map(String::as_str) {
            Some("uuid") => format!("'{now}'::uuid"),
            Some("uuid[]") => format!("ARRAY['{now}']::uuid[]"),
            Some(other) => format!("NULL::{other}"),
            None => "NULL".to_owned(),
        }
    }
}

/// The plan of a statement.
struct Plan {
    statement: String,
    text: String,
    tree: Value,
}

impl Plan {
    /// The generic plan of a statement; `None` for what has no plan.
    async fn of(client: &Client, catalogue: &Catalogue, statement: &str, types: &[u32]) -> Option<Self> {
        let is_read = ["SELECT", "WITH", "UPDATE", "DELETE"].iter().any(|verb| statement.starts_with(verb));
        if !is_read {
            return None;
        }
        let names: Vec<_> = types.iter().map(|oid| catalogue.types[oid].as_str()).collect();
        let values: Vec<_> = types.iter().map(|oid| catalogue.sample(*oid)).collect();
        let list = |parts: &[&str]| if parts.is_empty() { String::new() } else { format!("({})", parts.join(", ")) };
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let execute = format!("EXECUTE statement{}", list(&values));
        let prepare = format!("PREPARE statement{} AS {statement}", list(&names));
        client.batch_execute(&prepare).await.unwrap_or_else(|error| panic!("{prepare}\n{error:?}"));
        let explain = async |format: &str| {
            let sql = format!("EXPLAIN (COSTS OFF, FORMAT {format}) {execute}");
            client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{statement}\n{error:?}"))
        };
        let lines = |messages: Vec<tokio_postgres::SimpleQueryMessage>| {
            let line = |message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            };
            messages.into_iter().filter_map(line).collect::<Vec<_>>()
        };
        let text = lines(explain("TEXT").await);
        let tree: Value = serde_json::from_str(&lines(explain("JSON").await).join("\n")).expect("JSON");
        client.batch_execute("DEALLOCATE statement").await.expect("it was prepared");
        let plan = Self { statement: statement.to_owned(), text: text.join("\n"), tree: tree[0]["Plan"].clone() };
        plan.nodes().iter().any(|node| node["Relation Name"].is_string()).then_some(plan)
    }

    /// Every node, from the top.
    fn nodes(&self) -> Vec<&Value> {
        nodes(&self.tree)
    }

    /// The indexes that it uses.
    fn indexes<'a>(&'a self, catalogue: &'a Catalogue) -> impl Iterator<Item = &'a str> {
        let names = self.nodes().into_iter().filter_map(|node| node["Index Name"].as_str());
        names.map(|name| catalogue.whole(name))
    }

    /// What it does that it must not.
    fn faults(&self, catalogue: &Catalogue) -> Vec<(Rule, String)> {
        let mut faults = Vec::new();
        for node in self.nodes() {
            let text = |name: &str| node[name].as_str().unwrap_or_default();
            let (kind, table) = (text("Node Type"), text("Relation Name"));
            if kind == "Seq Scan" && catalogue.is_of_tenants(table) {
                faults.push((Rule::ReadWhole, table.to_owned()));
            }
            if let Some(index) = catalogue.indexes.get(text("Index Name")) {
                let tenant = if index.table == "tenants" { "id" } else { "tenant_id" };
                let condition = text("Index Cond").trim_start_matches('(');
                if catalogue.is_of_tenants(&index.table) && !condition.starts_with(&format!("{tenant} =")) {
                    faults.push((Rule::NotByTenant, format!("{}: {condition}", text("Index Name"))));
                }
            }
            let filter = text("Filter");
            let used = below(node, |kind| kind.starts_with("Bitmap"))
                .into_iter()
                .filter_map(|name| catalogue.indexes.get(name));
            for index in used.filter(|index| catalogue.is_of_tenants(&index.table)) {
                // Behind the columns of an order the id only decides between equals.
                let columns = match index.columns.split_last() {
                    Some((last, before)) if last == "id" && before.len() > 1 => before,
                    _ => &index.columns,
                };
                // The rows of a list of ids may be thrown away by how the ids compare with a cursor.
                let found_by = [text("Index Cond"), text("Recheck Cond")].concat();
                let looked_for = columns.iter().find(|column| {
                    column.as_str() != "tenant_id"
                        && asks_for(filter, column)
                        && !found_by.contains(&format!("({column} = "))
                });
                if let Some(column) = looked_for {
                    faults.push((Rule::Filtered, format!("{}.{column}: {filter}", index.table)));
                }
            }
            if catalogue.is_of_tenants(table) && reads_all_for_a_key(node, catalogue) {
                faults.push((Rule::NotByKey, format!("{table}: {filter}")));
            }
            if kind == "Limit" {
                let sorts = plans_of(node)
                    .filter(|below| below["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Sort")));
                let of_tenants = |sort: &&Value| {
                    nodes(sort)
                        .iter()
                        .any(|node| node["Relation Name"].as_str().is_some_and(|table| catalogue.is_of_tenants(table)))
                };
                faults.extend(sorts.filter(of_tenants).map(|sort| (Rule::Sorted, sort["Sort Key"].to_string())));
            }
        }
        faults
    }
}

/// Whether the conditions of a node name its rows by a key, and it reads everything that the tenant has all the same.
fn reads_all_for_a_key(node: &Value, catalogue: &Catalogue) -> bool {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let found: BTreeSet<_> = equal(text("Index Cond")).chain(equal(text("Recheck Cond"))).collect();
    let named: BTreeSet<_> = found.iter().copied().chain(equal(text("Filter"))).collect();
    let names = |key: &[String]| key.len() > 1 && key.iter().all(|column| named.contains(column.as_str()));
    let by_tenant_alone = |index: &str| {
        let columns = catalogue.indexes.get(index).map_or(&[][..], |index| &index.columns);
        columns.iter().take_while(|column| found.contains(column.as_str())).count() == 1
    };
    catalogue.keys(text("Relation Name")).any(names)
        && below(node, |kind| kind.starts_with("Bitmap")).into_iter().all(by_tenant_alone)
}

/// The plans below a node.
fn plans_of(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

/// A node with everything below it.
fn nodes(top: &Value) -> Vec<&Value> {
    let mut nodes = vec![top];
    let mut at = 0;
    while at < nodes.len() {
        nodes.extend(plans_of(nodes[at]));
        at += 1;
    }
    nodes
}

/// The indexes of a node: its own, or those of the bitmaps that are made for it.
fn below(node: &Value, goes_on: impl Fn(&str) -> bool + Copy) -> Vec<&str> {
    let mut names: Vec<_> = node["Index Name"].as_str().into_iter().collect();
    if node["Node Type"].as_str().is_some_and(goes_on) {
        names.extend(plans_of(node).flat_map(|plan| below(plan, goes_on)));
    }
    names
}

/// The columns that a condition compares with a value or with each of a list.
fn equal(condition: &str) -> impl Iterator<Item = &str> {
    let mut terms = vec![condition];
    if let Some(inner) =
        condition.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).filter(|_| condition.starts_with("(("))
    {
        terms.clear();
        let (mut depth, mut start) = (0, 0);
        for (at, sign) in inner.char_indices() {
            match sign {
                '(' => depth += 1,
                ')' => depth -= 1,
                ' ' if depth == 0 && inner[at..].starts_with(" AND ") => {
                    terms.push(&inner[start..at]);
                    start = at + " AND ".len();
                }
                _ => {}
            }
        }
        terms.push(&inner[start..]);
    }
    terms.into_iter().filter_map(|term| {
        let (column, value) = term.strip_prefix('(')?.split_once(" = ")?;
        let is_name = column.chars().all(|c| c.is_alphanumeric() || c == '_');
        (is_name && !value.contains(" OR ")).then_some(column)
    })
}

/// Whether a filter asks for this column; not by a list of values: a page may be read in its order, each row compared with
/// the list. What a key names is another rule's ([`Rule::NotByKey`]).
fn asks_for(filter: &str, column: &str) -> bool {
    filter.match_indices(column).any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let (before, after) = (&filter[..at], &filter[at + column.len()..]);
        let is_word = !before.ends_with(is_part) && !after.starts_with(is_part);
        is_word && !after.starts_with(" = ANY") && !after.starts_with(" <> ALL")
    })
}

/// A plan as it stands in the snapshot: without what every plan has, and what is different every month.
fn shown(plan: &str) -> String {
    let mut lines = plan.lines().peekable();
    let mut shown = String::new();
    while let Some(line) = lines.next() {
        // The setting that the policy compares with.
        if line.trim_start().starts_with("InitPlan")
            && lines.peek().is_some_and(|next| next.trim_start() == "->  Result")
        {
            lines.next();
            continue;
        }
        let mut line = line.to_owned();
        while let Some(at) = line.find("_y20") {
            line.replace_range(at..at + "_y2026m11".len(), "_month");
        }
        writeln!(shown, "    {line}").expect("memory");
    }
    shown
}

/// A statement without its long lists of columns.
fn short(statement: &str) -> String {
    let text = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = text.split("SELECT ");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let columns = part.find(" FROM ").filter(|end| *end > 40 && !part[..*end].contains('('));
        short.push_str("SELECT ");
        short.push_str(columns.map_or("", |_| "…"));
        short.push_str(&part[columns.unwrap_or_default()..]);
    }
    if let Some(start) = short.find(" RETURNING ") {
        short.replace_range(start + " RETURNING ".len().., "…");
    }
    short
}

/// The parts of raw statements in the sources, `$` for each place, that none of these statements has.
fn unasked(statements: &Statements) -> Vec<String> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let asked: Vec<String> = (statements.keys())
        .map(|text| {
            text.split('$')
                .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
                .collect::<Vec<_>>()
                .join("$")
        })
        .map(|text| plain(&text))
        .collect();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut unasked = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("/store") {
                let source = std::fs::read_to_string(&path).expect("a source");
                // Every second piece between quotes is a text; none of those with a place has a quote in it.
                let texts = source.split('"').skip(1).step_by(2).filter(|text| text.contains("{tenant}"));
                let texts =
                    texts.map(|text| plain(&text.replace("\\\n", " ").replace("{tenant}", "$").replace("{}", "$")));
                unasked.extend(texts.filter(|text| !asked.iter().any(|asked| asked.contains(text))));
            }
        }
    }
    unasked
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index_of_its_tenant() {
    let database = Arc::new(migrated().await);
    database.run(SUPERUSER, include_str!("plans.sql")).await;
    let statements = everything_asked_for(&database).await;
    let unasked: Vec<_> = unasked(&statements)
        .into_iter()
        .filter(|text| !NOT_ASKED.iter().any(|(part, _)| text.contains(part)))
        .collect();
    assert_eq!(
        unasked,
        Vec::<String>::new(),
        "raw statements that the walk does not reach: let it, or say in NOT_ASKED why not"
    );
    // Those of later months and of no month are empty, and their plans say nothing.
    database.run(SUPERUSER, ONE_PARTITION).await;
    database.run(SUPERUSER, "VACUUM (ANALYZE)").await;

    let client = database.connect("tenantry_app").await;
    let catalogue = Catalogue::read(&client).await;
    let begin = format!("SET app.tenant_id = '{TENANT}'; SET plan_cache_mode = force_generic_plan");
    client.batch_execute(&begin).await.expect("settings of its own");
    let mut plans = Vec::new();
    for (statement, types) in &statements {
        plans.extend(Plan::of(&client, &catalogue, statement, types).await);
    }

    let mut faults = Vec::new();
    let mut excepted = vec![false; EXCEPTIONS.len()];
    for plan in &plans {
        for (rule, what) in plan.faults(&catalogue) {
            let known =
                EXCEPTIONS.iter().position(|(of, part, _)| *of == rule && short(&plan.statement).contains(part));
            match known {
                Some(known) => excepted[known] = true,
                None => faults.push(format!("{rule:?} {what}\n{}\n{}", short(&plan.statement), plan.text)),
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n\n{}", faults.len(), faults.join("\n\n"));
    assert_eq!(
        idle(&catalogue, &plans),
        Vec::<&str>::new(),
        "indexes that nobody uses: drop them, or say in FOR_OTHERS who does"
    );

    let mut texts = BTreeSet::new();
    for plan in &plans {
        texts.insert(format!("{}\n{}", short(&plan.statement), shown(&plan.text)));
    }
    // How a plan is written is different in every release; the rules above hold for all of them.
    let version = client.query_one("SHOW server_version_num", &[]).await.expect("a version").get::<_, String>(0);
    if version.starts_with("15") {
        let unused: Vec<_> =
            EXCEPTIONS.iter().zip(excepted).filter(|(_, used)| !used).map(|(exception, _)| exception).collect();
        assert!(unused.is_empty(), "these exceptions are for nothing: {unused:?}");
        insta::assert_snapshot!("plans", texts.into_iter().collect::<Vec<_>>().join("\n"));
    }
}

const ONE_PARTITION: &str = "
    DO $$
    DECLARE name regclass;
    BEGIN
        FOR name IN SELECT inhrelid FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
                    WHERE c.relkind = 'r' AND (c.relname ~ '_default$' OR right(c.relname, 7) > to_char(now() AT TIME ZONE 'UTC', 'YYYY\"m\"MM'))
        LOOP
            EXECUTE format('DROP TABLE %s', name);
        END LOOP;
    END $$";

/// The indexes of tables of tenants that no plan uses and that hold no constraint.
fn idle<'a>(catalogue: &'a Catalogue, plans: &'a [Plan]) -> Vec<&'a str> {
    let used: BTreeSet<&str> = plans.iter().flat_map(|plan| plan.indexes(catalogue)).collect();
    let serves = |index: &Index, table: &str, columns: &BTreeSet<String>| {
        index.table == table
            && index.columns.iter().take(columns.len()).collect::<BTreeSet<_>>() == columns.iter().collect()
    };
    let in_use = |name: &str, index: &Index| index.is_unique || used.contains(name);
    let needed = |index: &Index| {
        // For a foreign key, unless another index that is in use serves it.
        catalogue.references.iter().any(|(table, columns)| {
            serves(index, table, columns)
                && !catalogue.indexes.iter().any(|(name, other)| in_use(name, other) && serves(other, table, columns))
        })
    };
    let of_tenants = catalogue.indexes.iter().filter(|(name, index)| {
        catalogue.is_of_tenants(&index.table) && !catalogue.parents.contains_key(*name) && index.table != "tenants"
    });
    (of_tenants.filter(|(name, index)| !in_use(name, index) && !needed(index)))
        .map(|(name, _)| name.as_str())
        .filter(|name| !FOR_OTHERS.iter().any(|(other, _)| other == name))
        .collect()
}

/// What the server prepares when everything is asked for that can be asked for.
async fn everything_asked_for(database: &Arc<crate::support::cluster::TestDatabase>) -> Statements {
    let tap = Tap::before(database, "tenantry_app");
    let app = TestApp::on(Arc::clone(&tap.database), Clock::system(), |settings| {
        settings.limits.limit_cost = u64::MAX;
        settings.limits.limit_tokens = 100_000;
        settings.limits.limit_depth = 40;
        settings.auth.rights_cache_ttl_ms = 0;
    })
    .await;
    let walk = Walk::new();
    let tenant = statements::filled(&app, 2).await;
    let ids = with_children(&tenant).await;
    for reader in readers(&tenant, &ids).await {
        for list in walk.lists() {
            read_list(&walk, &list, &ids, &reader).await;
        }
        tasks_of_several(&ids, &reader).await;
    }
    for root in walk.roots().into_iter().filter(|root| root.operation == "query") {
        let (document, variables) = walk.document(&root, &ids, 2, 2);
        tenant.owner.query(&document, variables).await;
        let takes_nothing = walk.id_places(&root).iter().all(|(path, _)| path[0] == "filter");
        for chain in takes_nothing.then(|| walk.chains(root.type_name(), 2, 2)).into_iter().flatten() {
            tenant.owner.query(&format!("{{ {}{chain} }}", root.name), json!({})).await;
        }
    }
    for root in walk.roots().into_iter().filter(|root| root.operation == "mutation") {
        let tenant = app.tenant().await;
        let ids = fixture::one_of_each(&tenant).await;
        let before = BEFORE.iter().filter(|(name, _)| *name == root.name).map(|(_, before)| *before);
        for name in before.chain([root.name.as_str()]) {
            let root = walk.roots().into_iter().find(|root| root.name == name).expect("a field at the root");
            let (document, variables) = walk.document(&root, &ids, 1, 1);
            tenant.owner.query(&document, variables).await;
        }
    }
    asked_by_hand(&tenant, &ids).await;
    listened_to(&tenant, &ids).await;
    tap.statements()
}

/// Something in every list under a parent.
pub async fn with_children(tenant: &TestTenant) -> Ids {
    let ids = fixture::one_of_each(tenant).await;
    let owner = &tenant.owner;
    owner.mutate("groupMembersAdd", "group { id }", json!({ "groupId": ids["grp"], "memberIds": [ids["mbr"]] })).await;
    owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Below", "parentId": ids["wsp"] })).await;
    let place = json!({ "workspaceId": ids["wsp"], "memberId": ids["mbr"] });
    owner.mutate("workspaceMemberAdd", "workspaceMember { id }", place).await;
    ids
}

/// People whose rights reach differently far: everywhere, everywhere but somewhere, some workspaces, one.
async fn readers(tenant: &TestTenant, ids: &Ids) -> Vec<TestUser> {
    let owner = &tenant.owner;
    let one = ids["wsp"].parse().expect("an id");
    let guest = tenant.member_on("workspace_viewer", Some(one)).await;
    let two = tenant.member_on("workspace_viewer", Some(one)).await;
    let role = crate::access::role_id(owner, "workspace_viewer").await;
    let grant = json!({ "principal": { "memberId": two.member }, "roleId": role, "workspaceId": tenant.workspace });
    owner.mutate("roleGrantCreate", "roleGrant { id }", grant).await;
    owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Hidden", "visibility": "PRIVATE" })).await;
    vec![owner.clone(), tenant.member("member").await, two, guest]
}

/// Pages of a list in every order, both ways, first and further ones; and by every condition.
async fn read_list(walk: &Walk, list: &List, ids: &Ids, reader: &TestUser) {
    let selection = "totalCount nodes { __typename } pageInfo { startCursor endCursor }";
    let (document, variables) = walk.list_document(list, ids, selection);
    let page = async |more: Value| {
        let mut variables = variables.clone();
        for (name, value) in more.as_object().expect("an object").iter().filter(|(_, value)| !value.is_null()) {
            variables[name] = value.clone();
        }
        let reply = reader.query(&document, variables).await;
        reply.body["data"].pointer(&format!("{}/pageInfo", list.pointer())).cloned().unwrap_or_default()
    };
    for order in walk.orders(list) {
        let first = page(json!({ "first": 1, "orderBy": order })).await;
        page(json!({ "first": 1, "orderBy": order, "after": first["endCursor"] })).await;
        let last = page(json!({ "last": 1, "orderBy": order })).await;
        page(json!({ "last": 1, "orderBy": order, "before": last["startCursor"] })).await;
    }
    for filter in walk.filters(list, ids) {
        page(json!({ "first": 1, "filter": filter })).await;
    }
}

/// Tasks of several parents at once: they have a statement of their own. Its pages are first ones, because a cursor is good
/// for one parent.
async fn tasks_of_several(ids: &Ids, reader: &TestUser) {
    for (parents, tasks) in [("workspaces", "tasks"), ("projects", "tasks"), ("members", "assignedTasks")] {
        let document = format!(
            "query ($filter: TaskFilter, $order: TaskOrder) {{ {parents}(first: 5) {{ nodes {{ \
               {tasks}(first: 1, filter: $filter, orderBy: $order) {{ totalCount nodes {{ id }} }} }} }} }}"
        );
        let ask = async |variables: Value| drop(reader.query(&document, variables).await);
        for (field, direction) in ["CREATED_AT", "DUE_ON", "TITLE"].iter().flat_map(|by| [(by, "ASC"), (by, "DESC")]) {
            ask(json!({ "order": { "field": field, "direction": direction } })).await;
        }
        for filter in [
            json!({ "states": ["TODO"] }),
            json!({ "projectId": ids["prj"] }),
            json!({ "workspaceId": ids["wsp"] }),
            json!({ "assigneeId": ids["mbr"] }),
            json!({ "dueFrom": "2026-01-01" }),
            json!({ "dueTo": "2026-12-31" }),
        ] {
            ask(json!({ "filter": filter })).await;
        }
    }
}

/// What takes more than a field and one thing of every kind.
async fn asked_by_hand(tenant: &TestTenant, ids: &Ids) {
    let owner = &tenant.owner;
    owner.query("{ members(search: \"demo tenant\") { totalCount nodes { id } } }", json!({})).await;
    // A service account asks, with rights of its own.
    let key = json!({ "name": "Of a program", "scopes": ["tasks:read"], "serviceAccountId": ids["sva"] });
    let key = owner.mutate("apiKeyCreate", "secret", key).await.at("/secret");
    owner.with_token(&key).query("{ tasks { nodes { id } } }", json!({})).await;
    let explain = "query($principal: AccessPrincipalInput!, $on: ID) \
        { explainAccess(permission: \"tasks:read\", principal: $principal, workspaceId: $on) { isAllowed } }";
    for principal in [
        json!({ "memberId": ids["mbr"] }),
        json!({ "serviceAccountId": ids["sva"] }),
        json!({ "apiKeyId": ids["key"] }),
    ] {
        owner.query(explain, json!({ "principal": principal, "on": ids["wsp"] })).await;
    }
    crate::access::reviewed(owner).await;
    // A role that is in use gives its grants to another one.
    let below =
        owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Moved", "parentId": ids["wsp"] })).await;
    let grant = json!({ "principal": { "memberId": ids["mbr"] }, "roleId": ids["rol"], "workspaceId": ids["wsp"] });
    owner.mutate("roleGrantCreate", "roleGrant { id }", grant).await;
    let role = crate::access::role_with(owner, "Instead", &["tasks:read"]).await;
    owner.mutate("roleDelete", "", json!({ "id": ids["rol"], "replacementRoleId": role })).await;
    owner
        .mutate("workspaceUpdate", "workspace { id }", json!({ "id": below.at("/workspace/id"), "parentId": null }))
        .await;
}

/// Subscriptions that begin, hear of something and are resumed.
async fn listened_to(tenant: &TestTenant, ids: &Ids) {
    let mut socket = Socket::of(&tenant.owner).await;
    let tasks = socket.subscribe(sockets::TASKS, json!({})).await;
    let audit = socket.subscribe("subscription { auditLogAppended { id } }", json!({})).await;
    sockets::listening(tenant, 1).await;
    sockets::auditing(tenant, 1).await;
    tenant.task(&ids["prj"], "Heard").await;
    let heard = socket.next(&tasks).await;
    socket.next(&audit).await;
    let resumed = socket.subscribe(sockets::TASKS, json!({ "after": heard["taskChanged"]["eventId"] })).await;
    tenant.task(&ids["prj"], "Heard again").await;
    socket.next(&resumed).await;
}
