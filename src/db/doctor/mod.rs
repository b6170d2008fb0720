//! `tenantry doctor`: every rule of the database, checked from PostgreSQL's own catalogue.
//!
//! What must always hold: each table is on the list of global tables, on the list of tenant tables, or enrolled by
//! whoever made it (`tables`); its walls stand; nobody at run time can go around them. A [`Finding`] names the rule,
//! the thing and the SQL that puts it right. Each rule has a test that breaks it, sees it found, and runs the fix.
//!
//! Start reading at [`examine`]; the rules are in `walls` (tables, keys, policies), `access` (logins, grants,
//! functions, views) and `upkeep` (partitions, indexes without foreign keys, the schema that the code was built with).

mod access;
mod catalogue;
mod tables;
mod upkeep;
mod walls;

use tokio_postgres::Client;

use self::catalogue::Catalogue;
use super::client::{self, ConnectError};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A table is neither on our lists nor enrolled.
    UnlistedTable,
    /// A table of our lists does not exist.
    MissingTable,
    /// `tenant_id` is missing, of another type, or may be NULL.
    TenantColumn,
    /// A primary key does not begin with `tenant_id`.
    PrimaryKey,
    /// Row-level security is not enabled, or not forced.
    RowSecurity,
    /// A policy is missing, different, or too many.
    Policy,
    /// A tenant table does not reference `tenants`.
    TenantReference,
    /// A foreign key could point into another tenant, or from a global table into a tenant's.
    ForeignKey,
    /// A foreign key between tenant tables has no index that begins with `tenant_id`.
    ForeignKeyIndex,
    /// A unique index of a tenant table does not contain `tenant_id`.
    UniqueIndex,
    /// An index of a tenant table does not begin with `tenant_id`.
    IndexOrder,
    /// A column of a tenant table is numbered by a sequence that all tenants share.
    SharedSequence,
    /// Something belongs to a role that must own nothing, or a table to another role than `tenantry_owner`.
    Ownership,
    /// Somebody may do more with a table, schema or database than the lists say.
    Grant,
    /// A login has an attribute or a membership that goes around the walls.
    Login,
    /// What a login begins and forgets holds its locks for ever.
    Timeout,
    /// A SECURITY DEFINER function can be turned against its owner.
    Definer,
    /// A view shows rows with its owner's rights.
    View,
    /// A partition can be read past the policies of its parent.
    Partition,
    /// Fewer than three months of partitions lie ahead, or rows wait in the default partition.
    PartitionsAhead,
    /// A trigger or a foreign key is switched off.
    Trigger,
    /// A row of a global index leads nowhere.
    Orphan,
    /// The tables differ from those that the code was built with.
    Schema,
}

impl Rule {
    /// Every rule.
    pub const ALL: &'static [Rule] = &[
        Self::UnlistedTable,
        Self::MissingTable,
        Self::TenantColumn,
        Self::PrimaryKey,
        Self::RowSecurity,
        Self::Policy,
        Self::TenantReference,
        Self::ForeignKey,
        Self::ForeignKeyIndex,
        Self::UniqueIndex,
        Self::IndexOrder,
        Self::SharedSequence,
        Self::Ownership,
        Self::Grant,
        Self::Login,
        Self::Timeout,
        Self::Definer,
        Self::View,
        Self::Partition,
        Self::PartitionsAhead,
        Self::Trigger,
        Self::Orphan,
        Self::Schema,
    ];

    /// Its name in reports.
    pub fn id(self) -> &'static str {
        match self {
            Self::UnlistedTable => "unlisted-table",
            Self::MissingTable => "missing-table",
            Self::TenantColumn => "tenant-column",
            Self::PrimaryKey => "primary-key",
            Self::RowSecurity => "row-security",
            Self::Policy => "policy",
            Self::TenantReference => "tenant-reference",
            Self::ForeignKey => "foreign-key",
            Self::ForeignKeyIndex => "foreign-key-index",
            Self::UniqueIndex => "unique-index",
            Self::IndexOrder => "index-order",
            Self::SharedSequence => "shared-sequence",
            Self::Ownership => "ownership",
            Self::Grant => "grant",
            Self::Login => "login",
            Self::Timeout => "timeout",
            Self::Definer => "definer",
            Self::View => "view",
            Self::Partition => "partition",
            Self::PartitionsAhead => "partitions-ahead",
            Self::Trigger => "trigger",
            Self::Orphan => "orphan",
            Self::Schema => "schema",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

/// One thing that is wrong, and what puts it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// The table, function, role … that breaks it.
    pub object: String,
    /// What is wrong with it, one sentence.
    pub problem: String,
    /// SQL for the migration login that puts it right; superuser's work says so in a comment.
    pub fix: String,
}

impl Finding {
    fn new(rule: Rule, object: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { rule, object: object.into(), problem: problem.into(), fix: fix.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]: {}\n    {}", self.object, self.rule, self.problem, self.fix.replace('\n', "\n    "))
    }
}

/// Why the database could not be examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The roles of Tenantry are missing: nothing was migrated here.
    #[error("this database has no roles of Tenantry; run `tenantry migrate up` first")]
    NotMigrated,
    /// PostgreSQL refused a question.
    #[error("the database could not be examined: {0}")]
    Refused(String),
}

impl From<tokio_postgres::Error> for DoctorError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(super::pool::reason(&error))
    }
}

/// Checks every rule, with the migration login; changes nothing. An empty list is good health.
///
/// # Errors
/// [`DoctorError`]; a broken rule is no error but a finding.
pub async fn examine(url: &str) -> Result<Vec<Finding>, DoctorError> {
    let client = client::connect(url, "tenantry migrate").await?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    become_owner(&client).await?;
    // Names come out as SQL text: with their schema, unless that is public.
    client.batch_execute("SET LOCAL search_path = public").await?;
    let catalogue = Catalogue::read(&client).await?;
    let mut findings = walls::check(&catalogue);
    findings.extend(access::check_grants(&catalogue));
    findings.extend(access::check_roles(&client).await?);
    findings.extend(access::check_functions(&client).await?);
    findings.extend(access::check_views(&client).await?);
    findings.extend(upkeep::check_partitions(&client, &catalogue).await?);
    findings.extend(upkeep::check_triggers(&client).await?);
    findings.extend(upkeep::check_orphans(&client, &catalogue).await?);
    findings.extend(upkeep::check_schema(&client, &catalogue).await?);
    Ok(findings)
}

/// The owner's policies show it every row, which the indexes are compared with.
async fn become_owner(client: &Client) -> Result<(), DoctorError> {
    let missing = client
        .query_one(
            "SELECT count(*) < 4 FROM pg_roles
             WHERE rolname IN ('tenantry_owner', 'tenantry_migrate', 'tenantry_app', 'tenantry_platform')",
            &[],
        )
        .await?;
    if missing.get(0) {
        return Err(DoctorError::NotMigrated);
    }
    client.batch_execute("SET LOCAL ROLE tenantry_owner").await?;
    Ok(())
}

/// A name as SQL text.
fn quote(name: &str) -> String {
    if name.contains('(') {
        return name.to_owned(); // an expression of an index
    }
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Names as SQL text, separated by commas.
fn list(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}
