//! Row comparison for keyset paging: `(a, id) < ($1, $2)` as one index condition.
//!
//! Source: PostgreSQL manual, "Row and Array Comparisons". Every order ends with `id` in the direction of the order,
//! so that a row comparison is the whole condition.

use diesel::{
    expression::{AppearsOnTable, AsExpression, Expression, SelectableExpression, ValidGrouping, is_aggregate},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{Bool, SingleValue, SqlType},
};

/// Which side of the key is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Rows that sort before the key: `<`.
    Less,
    /// Rows that sort behind the key: `>`.
    Greater,
}

/// `(a, b) < (x, y)` or `(a, b) > (x, y)`.
#[derive(Clone, Copy, Debug)]
pub struct RowCompare<A, B, X, Y> {
    columns: (A, B),
    side: Side,
    key: (X, Y),
}

/// A value as an expression of the type of a column.
type Of<C, V> = <V as AsExpression<<C as Expression>::SqlType>>::Expression;

/// The rows on `side` of `key`, compared by `columns` from left to right.
pub fn beyond<A, B, X, Y>(columns: (A, B), side: Side, key: (X, Y)) -> RowCompare<A, B, Of<A, X>, Of<B, Y>>
where
    A: Expression,
    B: Expression,
    A::SqlType: SqlType + SingleValue,
    B::SqlType: SqlType + SingleValue,
    X: AsExpression<A::SqlType>,
    Y: AsExpression<B::SqlType>,
{
    RowCompare { columns, side, key: (key.0.as_expression(), key.1.as_expression()) }
}

impl<A: Expression, B: Expression, X: Expression, Y: Expression> Expression for RowCompare<A, B, X, Y> {
    type SqlType = Bool;
}

impl<A, B, X, Y> ValidGrouping<()> for RowCompare<A, B, X, Y> {
    type IsAggregate = is_aggregate::No;
}

impl<A, B, X, Y> QueryId for RowCompare<A, B, X, Y> {
    type QueryId = ();
    // The operator is a value, so the type does not name the text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T, A, B, X, Y> AppearsOnTable<T> for RowCompare<A, B, X, Y>
where
    A: AppearsOnTable<T>,
    B: AppearsOnTable<T>,
    X: AppearsOnTable<T>,
    Y: AppearsOnTable<T>,
{
}

impl<T, A, B, X, Y> SelectableExpression<T> for RowCompare<A, B, X, Y>
where
    A: SelectableExpression<T>,
    B: SelectableExpression<T>,
    X: SelectableExpression<T>,
    Y: SelectableExpression<T>,
{
}

impl<A, B, X, Y> QueryFragment<Pg> for RowCompare<A, B, X, Y>
where
    A: QueryFragment<Pg>,
    B: QueryFragment<Pg>,
    X: QueryFragment<Pg>,
    Y: QueryFragment<Pg>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("((");
        self.columns.0.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        self.columns.1.walk_ast(out.reborrow())?;
        out.push_sql(match self.side {
            Side::Less => ") < (",
            Side::Greater => ") > (",
        });
        self.key.0.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        self.key.1.walk_ast(out.reborrow())?;
        out.push_sql("))");
        Ok(())
    }
}

/// A keyset in a raw statement: what comes behind the last row of the page before, then the order and the limit.
#[derive(Clone, Copy, Debug)]
pub struct KeysetText {
    /// ` AND (column, id) < ({}, {})`, for a page that is not the first.
    pub behind: &'static str,
    /// ` ORDER BY column DESC, id DESC LIMIT {}`.
    pub page: &'static str,
}

/// The [`KeysetText`] of an order by `(column, id)` in the direction of reading.
#[macro_export]
macro_rules! keyset_text {
    ($column:literal, $id:literal, $descending:expr) => {
        if $descending {
            $crate::db::keyset::KeysetText {
                behind: concat!(" AND (", $column, ", ", $id, ") < ({}, {})"),
                page: concat!(" ORDER BY ", $column, " DESC, ", $id, " DESC LIMIT {}"),
            }
        } else {
            $crate::db::keyset::KeysetText {
                behind: concat!(" AND (", $column, ", ", $id, ") > ({}, {})"),
                page: concat!(" ORDER BY ", $column, ", ", $id, " LIMIT {}"),
            }
        }
    };
}

/// Orders a boxed query by `(column, id)` and begins behind `after`, if given, in the direction of the order.
#[macro_export]
macro_rules! keyset {
    ($query:expr, $column:expr, $id:expr, $descending:expr, $after:expr) => {{
        use $crate::db::keyset::{Side, beyond};
        let mut query = $query;
        if let Some((value, id)) = $after {
            let side = if $descending { Side::Less } else { Side::Greater };
            query = query.filter(beyond(($column, $id), side, (value, id)));
        }
        if $descending { query.order(($column.desc(), $id.desc())) } else { query.order(($column.asc(), $id.asc())) }
    }};
}
