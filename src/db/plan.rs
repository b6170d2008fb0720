//! How PostgreSQL would run a statement, for the log of slow operations.

use diesel::{
    QueryableByName,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{Text, Untyped},
};

use super::{Db, DbError, PersonTx, Scope, TenantTx, core::Core};

struct Explain(String);

impl Query for Explain {
    type SqlType = Untyped;
}

impl QueryId for Explain {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for Explain {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(&self.0);
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    text: String,
}

/// The transaction of a plan. It ends by being dropped, and takes its connection along: a statement that was prepared by
/// SQL would stay on it.
enum Opened {
    Tenant(TenantTx),
    Person(PersonTx),
}

impl Db {
    /// The plan that PostgreSQL makes for a statement of ours, whatever the values of its parameters; nothing is run, and
    /// no value stands in it. In the tenant of the scope, or without one, by the runtime login, so that the policies are in
    /// it. Costs a connection.
    ///
    /// # Errors
    /// [`DbError`]; among them, PostgreSQL cannot tell the type of a parameter by its text alone.
    pub async fn plan(&self, scope: Option<&Scope>, statement: &str) -> Result<String, DbError> {
        let opened = match scope {
            Some(scope) => Opened::Tenant(self.read(scope).await?),
            None => Opened::Person(self.person(None, &std::sync::Arc::default()).await?),
        };
        let core: &Core = match &opened {
            Opened::Tenant(tx) => tx.core(),
            Opened::Person(tx) => tx.core(),
        };
        core.control("SET LOCAL plan_cache_mode = force_generic_plan").await?;
        core.control(&format!("PREPARE slow AS {statement}")).await?;
        let values = vec!["NULL"; parameters(statement)].join(", ");
        let execute = if values.is_empty() { "slow".to_owned() } else { format!("slow ({values})") };
        let lines: Vec<Line> = core.load(Explain(format!("EXPLAIN EXECUTE {execute}"))).await?;
        Ok(lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n"))
    }
}

/// The number of the last parameter, `$n`.
fn parameters(statement: &str) -> usize {
    let number = |rest: &str| rest[..rest.bytes().take_while(u8::is_ascii_digit).count()].parse().unwrap_or(0);
    statement.split('$').skip(1).map(number).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn parameters_are_counted_by_their_highest_number() {
        assert_eq!(parameters("SELECT 1"), 0);
        assert_eq!(parameters("SELECT $1, $2::text, $10 WHERE a = $2"), 10);
    }
}
