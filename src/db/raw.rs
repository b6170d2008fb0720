//! The raw door: statements that diesel's query builder cannot say, in one reviewed form.
//!
//! A text is a constant. `{tenant}` stands for the tenant of the transaction and must follow `tenant_id = `;
//! `{}` stands for the next bound value. The check runs at compile time. It reads the text, not its meaning: keep
//! raw statements few, in `store.rs` files, and name every tenant table's filter.
//!
//! What is not asked for is not in the text: a condition that is there only sometimes goes on with
//! [`given`](Raw::given). `$2 IS NULL OR t.state = $2` is no condition of an index unless PostgreSQL plans the statement
//! anew for every value, which costs more than running it.

use std::borrow::Cow;

use diesel::{
    expression::AsExpression,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    serialize::ToSql,
    sql_types::{HasSqlType, SingleValue, SqlType, Untyped},
};
use futures::future::BoxFuture;

use super::{DbError, TenantTx, core::Core};
use crate::ids::TenantId;

/// The text of a raw statement over tenant tables.
#[derive(Clone, Debug)]
pub struct TenantSql(Cow<'static, str>);

impl TenantSql {
    /// Checks the text: call it in a `const` block, so that a missing filter does not compile.
    pub const fn new(text: &'static str) -> Self {
        assert!(contains(text, "tenant_id = {tenant}"), "a raw statement needs `tenant_id = {{tenant}}`");
        Self(Cow::Borrowed(text))
    }

    /// Puts another constant text in the place of `<name>`: a column, a direction.
    pub fn fill(self, name: &'static str, with: &'static str) -> Self {
        Self(Cow::Owned(self.0.replace(&format!("<{name}>"), with)))
    }
}

const fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let mut start = 0;
    while start + part.len() <= text.len() {
        let mut at = 0;
        while at < part.len() && text[start + at] == part[at] {
            at += 1;
        }
        if at == part.len() {
            return true;
        }
        start += 1;
    }
    false
}

trait Bind: Send {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Value<T, V>(V, std::marker::PhantomData<fn() -> T>);

impl<T, V> Bind for Value<T, V>
where
    Pg: HasSqlType<T>,
    V: ToSql<T, Pg> + Send,
{
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<T, V>(&self.0)
    }
}

/// A raw statement with its bound values.
#[must_use = "a statement does nothing until it is loaded or executed"]
pub struct Raw<'t> {
    core: &'t Core,
    as_person: bool,
    statement: Statement,
}

struct Statement {
    text: Cow<'static, str>,
    /// What follows the text.
    more: Vec<&'static str>,
    tenant: Option<TenantId>,
    binds: Vec<Box<dyn Bind>>,
}

impl Query for Statement {
    type SqlType = Untyped;
}

impl QueryId for Statement {
    type QueryId = ();
    // Cached by text: the type says nothing about it.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for Statement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut binds = self.binds.iter();
        for mut rest in std::iter::once(&*self.text).chain(self.more.iter().copied()) {
            while let Some(at) = rest.find('{') {
                out.push_sql(&rest[..at]);
                rest = &rest[at..];
                if let Some(after) = rest.strip_prefix("{tenant}") {
                    let tenant = self.tenant.as_ref().ok_or_else(|| mismatch("no tenant on this transaction"))?;
                    out.push_bind_param::<diesel::sql_types::Uuid, TenantId>(tenant)?;
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("{}") {
                    binds.next().ok_or_else(|| mismatch("fewer values than places"))?.push(&mut out)?;
                    rest = after;
                } else {
                    out.push_sql("{");
                    rest = &rest[1..];
                }
            }
            out.push_sql(rest);
        }
        if binds.next().is_some() { Err(mismatch("more values than places")) } else { Ok(()) }
    }
}

fn mismatch(what: &str) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(format!("raw statement: {what}").into())
}

impl<'t> Raw<'t> {
    pub(super) fn of_tenant(tx: &'t TenantTx, sql: TenantSql) -> Self {
        let statement = Statement { text: sql.0, more: Vec::new(), tenant: Some(tx.tenant()), binds: Vec::new() };
        Self { core: tx.core(), as_person: false, statement }
    }

    /// A statement on no tenant table: a pre-tenant function, or a table whose policies ask for the person.
    pub(super) fn global(core: &'t Core, text: &'static str, as_person: bool) -> Self {
        let statement = Statement { text: Cow::Borrowed(text), more: Vec::new(), tenant: None, binds: Vec::new() };
        Self { core, as_person, statement }
    }

    /// Goes on with this constant text, which may have places of its own.
    pub fn then(mut self, text: &'static str) -> Self {
        self.statement.more.push(text);
        self
    }

    /// Goes on with this constant text and its one value, if there is a value.
    pub fn given<T, V>(self, text: &'static str, value: Option<V>) -> Self
    where
        T: SqlType + SingleValue + 'static,
        Pg: HasSqlType<T>,
        V: AsExpression<T> + ToSql<T, Pg> + Send + 'static,
    {
        match value {
            Some(value) => self.then(text).bind::<T, V>(value),
            None => self,
        }
    }

    /// Binds the next `{}` as the SQL type `T`.
    pub fn bind<T, V>(mut self, value: V) -> Self
    where
        T: SqlType + SingleValue + 'static,
        Pg: HasSqlType<T>,
        V: AsExpression<T> + ToSql<T, Pg> + Send + 'static,
    {
        self.statement.binds.push(Box::new(Value(value, std::marker::PhantomData)));
        self
    }

    /// All rows, by column name. One SQL statement.
    ///
    /// # Errors
    /// [`DbError`] as PostgreSQL or the connection reported it.
    pub fn load<U>(self) -> BoxFuture<'t, Result<Vec<U>, DbError>>
    where
        U: diesel::deserialize::FromSqlRow<Untyped, Pg> + Send + 'static,
    {
        self.core.load_as(self.statement, self.as_person)
    }

    /// The first row, by column name. One SQL statement.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn first<U>(self) -> BoxFuture<'t, Result<Option<U>, DbError>>
    where
        U: diesel::deserialize::FromSqlRow<Untyped, Pg> + Send + 'static,
    {
        let rows = self.load();
        Box::pin(async move { Ok(rows.await?.into_iter().next()) })
    }

    /// The number of rows touched. One SQL statement.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn execute(self) -> BoxFuture<'t, Result<usize, DbError>> {
        self.core.execute(self.statement)
    }
}
