//! What has to be looked after: partitions, indexes that no foreign key holds, and the schema that the code knows.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Error};

use super::{
    Finding, Rule,
    catalogue::Catalogue,
    tables::{INDEXES, MONTHLY},
    walls::{Kind, kind},
};
use crate::db::migrate::MONTHS_AHEAD;

pub(super) async fn check_partitions(client: &Client, catalogue: &Catalogue) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for parent in MONTHLY {
        if catalogue.named(parent).is_none() {
            continue; // reported as missing
        }
        let fix = format!("SELECT app.ensure_partitions({MONTHS_AHEAD});");
        let row = client
            .query_one(
                "SELECT count(*) FROM generate_series(0, $2::int) AS ahead
                 WHERE NOT EXISTS (
                     SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                     WHERE i.inhparent = to_regclass($1) AND c.relname = $1 || to_char(
                         date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead), '\"_y\"YYYY\"m\"MM'))",
                &[parent, &MONTHS_AHEAD],
            )
            .await?;
        let missing: i64 = row.get(0);
        if missing > 0 {
            let problem = format!("{missing} of the partitions for this month and the next {MONTHS_AHEAD} are missing");
            findings.push(Finding::new(Rule::PartitionsAhead, *parent, problem, &fix));
        }
        let default = format!("{parent}_default");
        if catalogue.named(&default).is_none() {
            let problem = "there is no default partition: a row outside of the months is refused";
            let create =
                format!("CREATE TABLE {default} PARTITION OF {parent} DEFAULT;\nSELECT app.enrol_table('{parent}');");
            findings.push(Finding::new(Rule::PartitionsAhead, *parent, problem, create));
        }
    }
    Ok(findings)
}

/// Foreign keys are triggers too. What the caches know, the quotas and the indexes across tenants rest on others.
pub(super) async fn check_triggers(client: &Client) -> Result<Vec<Finding>, Error> {
    // A trigger of a partition is switched on by itself.
    let sql = "SELECT t.tgrelid::regclass::text, quote_ident(t.tgname), t.tgisinternal, co.conname::text
               FROM pg_trigger t
               JOIN pg_class c ON c.oid = t.tgrelid
               LEFT JOIN pg_constraint co ON co.oid = t.tgconstraint
               WHERE t.tgenabled <> 'O' AND c.relnamespace = 'public'::regnamespace ORDER BY 1, 2";
    let off = client.query(sql, &[]).await?;
    Ok(off
        .iter()
        .map(|row| {
            let (table, name, constraint): (String, String, Option<String>) = (row.get(0), row.get(1), row.get(3));
            let problem = match constraint.filter(|_| row.get(2)) {
                Some(constraint) => format!("the foreign key {constraint} is switched off"),
                None => format!("the trigger {name} is switched off or changed"),
            };
            let fix = format!("ALTER TABLE {table} ENABLE TRIGGER {name};");
            Finding::new(Rule::Trigger, table, problem, fix)
        })
        .collect())
}

pub(super) async fn check_orphans(client: &Client, catalogue: &Catalogue) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (index, column, target) in INDEXES {
        if catalogue.named(index).is_none() || catalogue.named(target).is_none() {
            continue;
        }
        let orphan =
            format!("NOT EXISTS (SELECT FROM {target} t WHERE t.tenant_id = i.tenant_id AND t.id = i.{column})");
        let row = client.query_one(&format!("SELECT count(*) FROM {index} i WHERE {orphan}"), &[]).await?;
        let count: i64 = row.get(0);
        if count > 0 {
            let problem = format!("{count} rows lead to no row of {target}");
            findings.push(Finding::new(
                Rule::Orphan,
                *index,
                problem,
                format!("DELETE FROM {index} i WHERE {orphan};"),
            ));
        }
    }
    Ok(findings)
}

/// One column as diesel knows it.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Column {
    kind: String,
    is_nullable: bool,
}

type Tables = BTreeMap<String, BTreeMap<String, Column>>;

/// Compares the tables with `schema.rs`, the file that the queries were compiled against.
pub(super) async fn check_schema(client: &Client, catalogue: &Catalogue) -> Result<Vec<Finding>, Error> {
    let rows = client
        .query(
            "SELECT c.oid, a.attname::text,
                    CASE WHEN e.oid IS NULL THEN t.typname ELSE e.typname END::text, e.oid IS NOT NULL, NOT a.attnotnull
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
             LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped",
            &[],
        )
        .await?;
    let mut actual = Tables::new();
    for row in rows {
        let Some(table) = catalogue.table(row.get(0)) else { continue };
        let kind: String = diesel_type(row.get(2));
        let kind = if row.get(3) { format!("Array<Nullable<{kind}>>") } else { kind };
        actual.entry(table.name.clone()).or_default().insert(row.get(1), Column { kind, is_nullable: row.get(4) });
    }

    let mut findings = Vec::new();
    for (table, columns) in generated() {
        let Some(found) = actual.get(&table) else { continue }; // reported as missing
        for (name, wanted) in &columns {
            let object = format!("{table}.{name}");
            let shown = if wanted.is_nullable { format!("{}, nullable", wanted.kind) } else { wanted.kind.clone() };
            match found.get(name) {
                Some(column) if column == wanted => {}
                Some(column) => {
                    let nullable = if column.is_nullable { ", nullable" } else { "" };
                    findings.push(Finding::new(
                        Rule::Schema,
                        object,
                        format!("the column is {}{nullable}; the code was built with {shown}", column.kind),
                        REBUILD,
                    ));
                }
                None => findings.push(Finding::new(
                    Rule::Schema,
                    object,
                    format!("the code expects this column ({shown})"),
                    REBUILD,
                )),
            }
        }
        for name in found.keys().filter(|name| !columns.contains_key(*name)) {
            findings.push(Finding::new(
                Rule::Schema,
                format!("{table}.{name}"),
                "the code does not know this column",
                REBUILD,
            ));
        }
    }
    let known = generated();
    let ours = |name: &str| {
        super::tables::GLOBAL.iter().any(|t| t.name == name) || super::tables::TENANT.iter().any(|t| t.name == name)
    };
    for table in catalogue.tables.iter().filter(|table| matches!(kind(table), Kind::Global | Kind::Tenant)) {
        if ours(&table.name) && !known.contains_key(&table.name) {
            findings.push(Finding::new(Rule::Schema, &table.name, "the code does not know this table", REBUILD));
        }
    }
    Ok(findings)
}

const REBUILD: &str =
    "-- run `tenantry migrate up`; if you changed the table by hand, write a migration and run bin/schema";

/// What `schema.rs` says, in the form that diesel's command line prints.
fn generated() -> Tables {
    let mut tables = Tables::new();
    let mut current = String::new();
    let mut sql_name = None;
    let lines = include_str!("../schema.rs").lines().map(str::trim);
    for line in lines.filter(|line| !line.starts_with("diesel::joinable!")) {
        if let Some(name) = line.strip_prefix("#[sql_name = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            sql_name = Some(name.to_owned());
        } else if let Some((column, kind)) = line.split_once(" -> ") {
            let kind = kind.trim_end_matches(',');
            let inner = kind.strip_prefix("Nullable<").and_then(|rest| rest.strip_suffix('>'));
            let column = sql_name.take().unwrap_or_else(|| column.to_owned());
            let found = Column { kind: inner.unwrap_or(kind).to_owned(), is_nullable: inner.is_some() };
            tables.entry(current.clone()).or_default().insert(column, found);
        } else if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            current = sql_name.take().unwrap_or_else(|| name.to_owned());
        }
    }
    tables
}

/// Diesel's name for a type of PostgreSQL.
fn diesel_type(name: String) -> String {
    match name.as_str() {
        "timestamptz" => "Timestamptz".to_owned(),
        other => other.chars().take(1).flat_map(char::to_uppercase).chain(other.chars().skip(1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_schema_is_read_whole() {
        let tables = generated();
        let text = include_str!("../schema.rs");
        assert_eq!(tables.len(), text.matches("diesel::table!").count());
        assert_eq!(
            tables.values().map(BTreeMap::len).sum::<usize>(),
            text.matches(" -> ").count() - text.matches("joinable!").count()
        );
        assert_eq!(tables["events"]["type"], Column { kind: "Text".to_owned(), is_nullable: false });
        assert_eq!(tables["api_keys"]["allowed_cidrs"].kind, "Array<Nullable<Cidr>>");
    }
}
