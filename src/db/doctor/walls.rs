//! Tables, their keys and their policies.

use super::{
    Finding, Rule,
    catalogue::{Catalogue, ForeignKey, Index, Policy, Table},
    list, quote,
    tables::{self, Condition, GLOBAL, OWNER, OWNER_POLICY, PARTITION_POLICIES, TENANT, TENANT_POLICIES},
};

/// How a table is to be treated.
#[derive(PartialEq, Eq, Clone, Copy)]
pub(super) enum Kind {
    Global,
    Tenant,
    Partition,
    Migrations,
    Unlisted,
}

pub(super) fn kind(table: &Table) -> Kind {
    if table.root.is_some() {
        Kind::Partition
    } else if table.name == tables::MIGRATIONS {
        Kind::Migrations
    } else if GLOBAL.iter().any(|global| global.name == table.name) {
        Kind::Global
    } else if TENANT.iter().any(|tenant| tenant.name == table.name) || table.tenant_column.is_some() {
        // A table with a tenant_id that is not ours has to be enrolled, and then obeys the same rules.
        Kind::Tenant
    } else {
        Kind::Unlisted
    }
}

pub(super) fn check(catalogue: &Catalogue) -> Vec<Finding> {
    let mut findings = missing(catalogue);
    for table in &catalogue.tables {
        match kind(table) {
            Kind::Tenant => tenant(catalogue, table, &mut findings),
            Kind::Global => global(catalogue, table, &mut findings),
            Kind::Partition => partition(catalogue, table, &mut findings),
            Kind::Migrations => {}
            Kind::Unlisted => findings.push(Finding::new(
                Rule::UnlistedTable,
                &table.name,
                "the table is neither on the list of global tables nor a tenant's",
                format!(
                    "ALTER TABLE {0} ADD COLUMN tenant_id uuid NOT NULL;\nALTER TABLE {0} DROP CONSTRAINT IF EXISTS {1}, ADD PRIMARY KEY (tenant_id, id);\nSELECT app.enrol_table('{0}');",
                    table.name,
                    catalogue.primary_key(table).and_then(|key| key.constraint.clone()).unwrap_or_else(|| "none".to_owned()),
                ),
            )),
        }
    }
    findings
}

fn missing(catalogue: &Catalogue) -> Vec<Finding> {
    let listed = GLOBAL.iter().map(|table| table.name).chain(TENANT.iter().map(|table| table.name));
    listed
        .filter(|name| catalogue.named(name).is_none())
        .map(|name| {
            Finding::new(
                Rule::MissingTable,
                name,
                "the table is on the list and not in the database",
                "-- run `tenantry migrate up`; if a migration was edited by hand, restore the table from a backup",
            )
        })
        .collect()
}

fn tenant(catalogue: &Catalogue, table: &Table, findings: &mut Vec<Finding>) {
    let name = &table.name;
    match &table.tenant_column {
        Some((kind, true)) if kind == "uuid" => {}
        Some((kind, true)) => findings.push(Finding::new(
            Rule::TenantColumn,
            name,
            format!("tenant_id is of type {kind}, not uuid"),
            format!("ALTER TABLE {name} ALTER COLUMN tenant_id TYPE uuid USING tenant_id::text::uuid;"),
        )),
        Some((_, false)) => findings.push(Finding::new(
            Rule::TenantColumn,
            name,
            "tenant_id may be NULL: such a row belongs to nobody",
            format!("ALTER TABLE {name} ALTER COLUMN tenant_id SET NOT NULL;"),
        )),
        None => findings.push(Finding::new(
            Rule::TenantColumn,
            name,
            "the table has no tenant_id",
            format!("ALTER TABLE {name} ADD COLUMN tenant_id uuid NOT NULL;"),
        )),
    }
    let key = catalogue.primary_key(table);
    if key.is_none_or(|key| key.columns.first().is_none_or(|first| first != "tenant_id")) {
        let dropped = key
            .and_then(|key| key.constraint.as_ref())
            .map(|name| format!("DROP CONSTRAINT {name}, "))
            .unwrap_or_default();
        let mut columns = key.map_or_else(|| vec!["id".to_owned()], |key| key.columns.clone());
        columns.retain(|column| column != "tenant_id");
        findings.push(Finding::new(
            Rule::PrimaryKey,
            name,
            "the primary key does not begin with tenant_id",
            format!("ALTER TABLE {name} {dropped}ADD PRIMARY KEY (tenant_id, {});", list(&columns)),
        ));
    }
    row_security(table, Rule::RowSecurity, findings);
    check_policies(catalogue, table, TENANT_POLICIES, findings);
    foreign_keys(catalogue, table, findings);
    for index in catalogue.indexes.iter().filter(|index| index.table == table.oid && !index.is_primary) {
        check_index(table, index, findings);
    }
    for column in &table.sequences {
        findings.push(Finding::new(
            Rule::SharedSequence,
            format!("{name}.{column}"),
            "the column is numbered by a sequence: its numbers tell one tenant how busy the others are",
            format!(
                "ALTER TABLE {name} ALTER COLUMN {0} DROP IDENTITY IF EXISTS;\nALTER TABLE {name} ALTER COLUMN {0} DROP DEFAULT; -- and number the rows with uuids",
                quote(column)
            ),
        ));
    }
}

fn global(catalogue: &Catalogue, table: &Table, findings: &mut Vec<Finding>) {
    row_security(table, Rule::RowSecurity, findings);
    if let Some(listed) = GLOBAL.iter().find(|global| global.name == table.name) {
        let mut expected = listed.policies.to_vec();
        expected.push(OWNER_POLICY);
        check_policies(catalogue, table, &expected, findings);
    }
    for key in catalogue.foreign_keys.iter().filter(|key| key.table == table.oid) {
        if catalogue.table(key.target).is_some_and(|target| kind(target) == Kind::Tenant) {
            findings.push(Finding::new(
                Rule::ForeignKey,
                &table.name,
                format!("the foreign key {} points from a global table into a tenant's, which a distributed database refuses", key.name),
                format!("ALTER TABLE {} DROP CONSTRAINT {};", table.name, key.name),
            ));
        }
    }
}

fn partition(catalogue: &Catalogue, table: &Table, findings: &mut Vec<Finding>) {
    row_security(table, Rule::Partition, findings);
    check_policies(catalogue, table, PARTITION_POLICIES, findings);
}

fn row_security(table: &Table, rule: Rule, findings: &mut Vec<Finding>) {
    let name = &table.name;
    if !table.has_row_security {
        findings.push(Finding::new(
            rule,
            name,
            "row-level security is not enabled: every tenant's rows are open to whoever may read the table",
            format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"),
        ));
    }
    if !table.forces_row_security {
        findings.push(Finding::new(
            rule,
            name,
            "row-level security is not forced: it does not bind the owner",
            format!("ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"),
        ));
    }
    if table.owner != OWNER {
        findings.push(Finding::new(
            Rule::Ownership,
            name,
            format!("the table belongs to {}", table.owner),
            format!("ALTER TABLE {name} OWNER TO {OWNER}; -- as a member of both roles"),
        ));
    }
}

fn check_policies(catalogue: &Catalogue, table: &Table, expected: &[tables::Policy], findings: &mut Vec<Finding>) {
    let name = &table.name;
    let mut present: Vec<&Policy> = catalogue.policies.iter().filter(|policy| policy.table == table.oid).collect();
    for wanted in expected {
        let create = create_policy(name, wanted);
        let Some(at) = present.iter().position(|policy| policy.name == wanted.name) else {
            let problem = format!("the policy {} is missing", wanted.name);
            findings.push(Finding::new(Rule::Policy, name, problem, create));
            continue;
        };
        let policy = present.swap_remove(at);
        if !fits(policy, wanted) {
            findings.push(Finding::new(
                Rule::Policy,
                name,
                format!("the policy {} is not the one it must be", wanted.name),
                format!("DROP POLICY {} ON {name};\n{create}", wanted.name),
            ));
        }
    }
    // What is left over can only narrow, if it is restrictive.
    for policy in present.into_iter().filter(|policy| policy.is_permissive) {
        findings.push(Finding::new(
            Rule::Policy,
            name,
            format!("the policy {} widens what the standard policies allow", policy.name),
            format!("DROP POLICY {} ON {name};", policy.name),
        ));
    }
}

fn fits(policy: &Policy, wanted: &tables::Policy) -> bool {
    let mut roles = wanted.roles.to_vec();
    roles.sort_unstable();
    let using = policy.using.as_deref().is_some_and(|text| is_condition(text, wanted.condition));
    let check = match (&policy.check, wanted.command) {
        (None, "SELECT" | "DELETE") => true,
        (Some(text), "ALL" | "UPDATE") => is_condition(text, wanted.condition),
        _ => false,
    };
    policy.is_permissive && policy.command == wanted.command && policy.roles == roles && using && check
}

fn compare(column: &str, setting: &str) -> Vec<String> {
    let value = format!("nullif(current_setting('{setting}', true), '')::uuid");
    vec![format!("{column} = (SELECT {value})"), format!("{column} = {value}")]
}

/// The two forms of a tenant's condition: with the sub-select, and the plain one for Citus.
fn conditions(condition: Condition) -> Vec<String> {
    let fellows = |user: &str, whole: fn(String) -> String| {
        let tenants = compare("m.tenant_id", "app.tenant_id").into_iter();
        let fellow = tenants.map(|tenant| {
            format!("(SELECT true FROM members m WHERE {tenant} AND m.user_id = {user} AND m.deleted_at IS NULL)")
        });
        fellow.map(whole).collect()
    };
    match condition {
        Condition::True => vec!["true".to_owned()],
        Condition::Tenant(column) => compare(column, "app.tenant_id"),
        Condition::Person(column) => compare(column, "app.user_id"),
        Condition::PersonOrFellow => fellows("users.id", |fellow| {
            let person = compare("id", "app.user_id").swap_remove(0);
            format!("{person} OR {fellow}")
        }),
        Condition::FellowAddress => {
            fellows("user_emails.user_id", |fellow| format!("is_primary AND verified_at IS NOT NULL AND {fellow}"))
        }
    }
}

fn is_condition(text: &str, condition: Condition) -> bool {
    conditions(condition).iter().any(|wanted| essence(wanted) == essence(text))
}

/// An expression without what PostgreSQL adds when it prints one back: casts of literals, a column name for the
/// sub-select, parentheses, line breaks.
fn essence(text: &str) -> String {
    let text = text.to_lowercase().replace("::text", "").replace(" as \"nullif\"", "");
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')')).collect()
}

fn create_policy(table: &str, policy: &tables::Policy) -> String {
    let condition = conditions(policy.condition).swap_remove(0);
    let check =
        if matches!(policy.command, "ALL" | "UPDATE") { format!(" WITH CHECK ({condition})") } else { String::new() };
    format!(
        "CREATE POLICY {} ON {table} FOR {} TO {} USING ({condition}){check};",
        policy.name,
        policy.command,
        policy.roles.join(", ")
    )
}

fn foreign_keys(catalogue: &Catalogue, table: &Table, findings: &mut Vec<Finding>) {
    let name = &table.name;
    let keys = || catalogue.foreign_keys.iter().filter(|key| key.table == table.oid);
    let tenants = catalogue.named("tenants").map(|tenants| tenants.oid);
    if !keys().any(|key| Some(key.target) == tenants && key.columns == ["tenant_id"]) {
        findings.push(Finding::new(
            Rule::TenantReference,
            name,
            "tenant_id does not reference tenants: rows can outlive their tenant",
            format!("ALTER TABLE {name} ADD FOREIGN KEY (tenant_id) REFERENCES tenants (id);"),
        ));
    }
    for key in keys() {
        let Some(target) = catalogue.table(key.target).filter(|target| kind(target) == Kind::Tenant) else { continue };
        let pairs = || key.columns.iter().zip(&key.target_columns);
        if !pairs().any(|(here, there)| here == "tenant_id" && there == "tenant_id") {
            let rest = |of: fn((&String, &String)) -> String| {
                let rest = pairs().filter(|(here, there)| *here != "tenant_id" && *there != "tenant_id");
                rest.map(of).collect::<Vec<_>>()
            };
            findings.push(Finding::new(
                Rule::ForeignKey,
                name,
                format!("the foreign key {} to {} does not contain tenant_id: it can point into another tenant", key.name, target.name),
                format!(
                    "ALTER TABLE {name} DROP CONSTRAINT {0}, ADD CONSTRAINT {0} FOREIGN KEY (tenant_id, {1}) REFERENCES {2} (tenant_id, {3});",
                    key.name,
                    list(&rest(|(here, _)| here.clone())),
                    target.name,
                    list(&rest(|(_, there)| there.clone())),
                ),
            ));
        } else if !catalogue.indexes.iter().any(|index| index.table == table.oid && serves(index, key)) {
            let mut columns = key.columns.clone();
            columns.sort_by_key(|column| column != "tenant_id");
            findings.push(Finding::new(
                Rule::ForeignKeyIndex,
                name,
                format!("no index that begins with tenant_id serves the foreign key {}: deleting from {} reads the whole tenant", key.name, target.name),
                format!("CREATE INDEX ON {name} ({}); -- on a live table: CREATE INDEX CONCURRENTLY", list(&columns)),
            ));
        }
    }
}

/// Whether the index finds the rows of a foreign key inside their tenant.
fn serves(index: &Index, key: &ForeignKey) -> bool {
    let in_key = |column: &&String| key.columns.contains(column);
    let leading = index.columns.iter().take_while(in_key).count();
    // A partial index serves if it leaves out only rows without a reference.
    let is_whole = index
        .predicate
        .as_deref()
        .is_none_or(|predicate| key.columns.iter().any(|column| predicate == format!("({column} IS NOT NULL)")));
    // An index on tenant_id alone serves where a tenant has one row.
    let is_narrow = leading >= 2 || (index.is_unique && leading == index.columns.len());
    index.columns.first().is_some_and(|first| first == "tenant_id") && is_narrow && is_whole
}

fn check_index(table: &Table, index: &Index, findings: &mut Vec<Finding>) {
    let name = &table.name;
    if index.columns.first().is_some_and(|first| first == "tenant_id") {
        return;
    }
    let lacks_tenant = !index.columns.iter().any(|column| column == "tenant_id");
    let mut columns = index.columns.clone();
    columns.retain(|column| column != "tenant_id");
    let columns = list(&columns);
    let fix = match &index.constraint {
        Some(constraint) => {
            format!(
                "ALTER TABLE {name} DROP CONSTRAINT {constraint}, ADD CONSTRAINT {constraint} UNIQUE (tenant_id, {columns});"
            )
        }
        None => format!(
            "DROP INDEX {};\nCREATE {}INDEX ON {name} (tenant_id, {columns}){};",
            index.name,
            if index.is_unique { "UNIQUE " } else { "" },
            index.predicate.as_ref().map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default(),
        ),
    };
    if index.is_unique && lacks_tenant {
        let problem = format!(
            "the unique index {} does not contain tenant_id: one tenant can find out what another has",
            index.name
        );
        findings.push(Finding::new(Rule::UniqueIndex, name, problem, fix));
    } else {
        let problem = format!("the index {} does not begin with tenant_id", index.name);
        findings.push(Finding::new(Rule::IndexOrder, name, problem, fix));
    }
}
