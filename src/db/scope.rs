//! Statements that know their tenant.
//!
//! Outside `db` a table is a type and not a value, so the only way to begin a statement on a tenant table is
//! `tasks::in_tenant(tx)`, which carries `tenant_id = $1` from its first word. [`Scoped`] forwards diesel's query
//! methods one by one; what is not forwarded (above all `or_filter`, which would undo the tenant filter) does not
//! exist. Running a statement is a plain function that turns it into text and binds at once and returns a boxed
//! future: no type of the query survives into the future, which keeps it `Send` and the build fast.

use diesel::{
    deserialize::FromSqlRow,
    dsl,
    expression::{AsExpression, Expression, QueryMetadata},
    helper_types::IntoBoxed,
    pg::Pg,
    query_builder::{AsQuery, IntoUpdateTarget, QueryFragment, QueryId, UpdateStatement},
    query_dsl::{
        CompatibleType, InternalJoinDsl, QueryDsl,
        methods::{
            BoxedDsl, DistinctDsl, FilterDsl, GroupByDsl, LimitDsl, LockingDsl, ModifyLockDsl, OrderDsl, SelectDsl,
            ThenOrderDsl,
        },
    },
    query_source::{JoinTo, Table},
    sql_types,
};
use futures::future::BoxFuture;

use super::{DbError, TenantTx, WriteTx, core::Core};
use crate::ids::TenantId;

/// A table whose every row belongs to one tenant; implemented by `tenant_table!` only.
pub trait TenantTable: Table + Default + 'static {
    /// The column `tenant_id` of this table.
    type TenantColumn: diesel::Column<Table = Self, SqlType = sql_types::Uuid> + Default;
}

/// A table without `tenant_id`; implemented by `global_table!` only.
pub trait GlobalTable: Table + Default + 'static {}

/// The predicate `T.tenant_id = $tenant`.
pub type IsTenant<T> = dsl::Eq<<T as TenantTable>::TenantColumn, TenantId>;

/// The rows of the table that belong to the tenant.
pub type TenantOnly<T> = dsl::Filter<T, IsTenant<T>>;

pub(super) fn is_tenant<T: TenantTable>(tenant: TenantId) -> IsTenant<T>
where
    TenantId: AsExpression<sql_types::Uuid>,
{
    diesel::ExpressionMethods::eq(T::TenantColumn::default(), tenant)
}

/// A statement of one transaction, with its tenant filter already in place.
#[must_use = "a statement does nothing until it is loaded or executed"]
pub struct Scoped<'t, Q> {
    pub(super) core: &'t Core,
    pub(super) tenant: Option<TenantId>,
    /// Its text has one form, or one of few: it stays prepared.
    is_kept: bool,
    pub(super) query: Q,
}

impl<'t, Q> Scoped<'t, Q> {
    pub(super) fn of_tenant(tx: &'t TenantTx, query: Q) -> Self {
        Self { core: tx.core(), tenant: Some(tx.tenant()), is_kept: true, query }
    }

    /// The same for a statement whose text differs with the number of its rows.
    pub(super) fn of_any_length(tx: &'t TenantTx, query: Q) -> Self {
        Self { is_kept: false, ..Self::of_tenant(tx, query) }
    }

    /// Passes the statement itself to `change`; for what diesel keeps behind private types, such as `returning`.
    pub fn with<R>(self, change: impl FnOnce(Q) -> R) -> Scoped<'t, R> {
        Scoped { core: self.core, tenant: self.tenant, is_kept: self.is_kept, query: change(self.query) }
    }

    /// The statement as a sub-select of another one, for `eq_any` and `exists`.
    pub fn sub(self) -> Q {
        self.query
    }

    /// Runs the statement and gives all rows. One SQL statement.
    ///
    /// # Errors
    /// [`DbError`] as PostgreSQL or the connection reported it.
    pub fn load<U, ST>(self) -> BoxFuture<'t, Result<Vec<U>, DbError>>
    where
        Q: AsQuery,
        Q::Query: QueryFragment<Pg> + QueryId,
        Pg: QueryMetadata<Q::SqlType>,
        Q::SqlType: CompatibleType<U, Pg, SqlType = ST>,
        U: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
    {
        self.core.load(Kept { is_kept: self.is_kept, query: self.query.as_query() })
    }

    /// Runs the statement and gives its first row, if there is one. One SQL statement.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn first<U, ST>(self) -> BoxFuture<'t, Result<Option<U>, DbError>>
    where
        Q: AsQuery,
        Q::Query: QueryFragment<Pg> + QueryId,
        Pg: QueryMetadata<Q::SqlType>,
        Q::SqlType: CompatibleType<U, Pg, SqlType = ST>,
        U: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
    {
        let rows = self.load();
        Box::pin(async move { Ok(rows.await?.into_iter().next()) })
    }

    /// Runs the statement and gives the number of rows it touched. One SQL statement.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn execute(self) -> BoxFuture<'t, Result<usize, DbError>>
    where
        Q: QueryFragment<Pg> + QueryId,
    {
        self.core.execute(Kept { is_kept: self.is_kept, query: self.query })
    }
}

/// A statement that stays prepared, whatever diesel thinks of it: diesel prepares an `UPDATE`, and an `INSERT` with an
/// optional value, anew each time, because their texts have several forms. Prepared statements are found by their text, so
/// each form has its own, and connections forget them in time (`PoolOptions::statements_last`).
struct Kept<Q> {
    is_kept: bool,
    query: Q,
}

impl<Q: diesel::query_builder::Query> diesel::query_builder::Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Kept<Q> {
    type QueryId = ();
    // Found by its text: the type of an insert is the same whether an optional value is there or its default.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Kept<Q> {
    fn walk_ast<'b>(&'b self, out: diesel::query_builder::AstPass<'_, 'b, Pg>) -> diesel::QueryResult<()> {
        self.query.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, backend: &Pg) -> diesel::QueryResult<bool> {
        if self.is_kept { Ok(true) } else { self.query.is_safe_to_cache_prepared(backend) }
    }
}

/// Counts the rows of a limited selection: counting stops at the limit.
pub struct CountOf<Q>(Q);

impl<Q> diesel::query_builder::Query for CountOf<Q> {
    type SqlType = sql_types::BigInt;
}

impl<Q> QueryId for CountOf<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for CountOf<Q> {
    fn walk_ast<'b>(&'b self, mut out: diesel::query_builder::AstPass<'_, 'b, Pg>) -> diesel::QueryResult<()> {
        out.push_sql("SELECT count(*) FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS counted");
        Ok(())
    }
}

impl<'t, Q> Scoped<'t, Q> {
    /// The number of rows, where counting stops behind `most`. Select something small first. One SQL statement.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn count_up_to(self, most: i64) -> BoxFuture<'t, Result<i64, DbError>>
    where
        Q: LimitDsl,
        Q::Output: QueryFragment<Pg>,
    {
        let rows = self.with(|query| CountOf(query.limit(most + 1))).load::<i64, _>();
        Box::pin(async move { Ok(rows.await?.into_iter().next().unwrap_or_default()) })
    }
}

impl<Q> QueryDsl for Scoped<'_, Q> {}

/// Forwards one-argument builder traits to the query inside.
macro_rules! forward {
    ($($trait:ident :: $method:ident $(where $bound:path)?),* $(,)?) => {$(
        impl<'t, Q: $trait<A>, A $(: $bound)?> $trait<A> for Scoped<'t, Q> {
            type Output = Scoped<'t, Q::Output>;
            fn $method(self, argument: A) -> Self::Output { self.with(|query| query.$method(argument)) }
        }
    )*};
}

forward! {
    FilterDsl::filter,
    SelectDsl::select where Expression,
    OrderDsl::order where Expression,
    ThenOrderDsl::then_order_by,
    LockingDsl::with_lock,
    ModifyLockDsl::modify_lock,
}

impl<'t, Q: LimitDsl> LimitDsl for Scoped<'t, Q> {
    type Output = Scoped<'t, Q::Output>;
    fn limit(self, limit: i64) -> Self::Output {
        self.with(|query| query.limit(limit))
    }
}

impl<'t, Q: DistinctDsl> DistinctDsl for Scoped<'t, Q> {
    type Output = Scoped<'t, Q::Output>;
    fn distinct(self) -> Self::Output {
        self.with(DistinctDsl::distinct)
    }
}

impl<'t, Q: GroupByDsl<E>, E: Expression> GroupByDsl<E> for Scoped<'t, Q> {
    type Output = Scoped<'t, Q::Output>;
    fn group_by(self, expr: E) -> dsl::GroupBy<Self, E> {
        self.with(|query| query.group_by(expr))
    }
}

impl<'t, 'a, Q: BoxedDsl<'a, Pg>> BoxedDsl<'a, Pg> for Scoped<'t, Q> {
    type Output = Scoped<'t, Q::Output>;
    fn internal_into_boxed(self) -> IntoBoxed<'a, Self, Pg> {
        self.with(BoxedDsl::internal_into_boxed)
    }
}

/// The right side of a join on a tenant table; the tenant is added to its ON clause.
pub struct Joined<T, On>(pub(super) std::marker::PhantomData<T>, pub(super) On);

/// The right side of a join on a global table.
pub struct JoinedGlobal<T, On>(pub(super) std::marker::PhantomData<T>, pub(super) On);

#[doc(hidden)]
pub struct OfTenant<T>(std::marker::PhantomData<T>);
#[doc(hidden)]
pub struct OfAll<T>(std::marker::PhantomData<T>);

impl<Q, T: TenantTable, On> JoinTo<Joined<T, On>> for Scoped<'_, Q> {
    type FromClause = OfTenant<T>;
    type OnClause = On;
    fn join_target(right: Joined<T, On>) -> (OfTenant<T>, On) {
        (OfTenant(std::marker::PhantomData), right.1)
    }
}

impl<Q, T: GlobalTable, On> JoinTo<JoinedGlobal<T, On>> for Scoped<'_, Q> {
    type FromClause = OfAll<T>;
    type OnClause = On;
    fn join_target(right: JoinedGlobal<T, On>) -> (OfAll<T>, On) {
        (OfAll(std::marker::PhantomData), right.1)
    }
}

impl<'t, Q, T, Kind, On> InternalJoinDsl<OfTenant<T>, Kind, On> for Scoped<'t, Q>
where
    T: TenantTable,
    On: diesel::BoolExpressionMethods + Expression<SqlType = sql_types::Bool>,
    On: AsExpression<sql_types::Bool>,
    IsTenant<T>: Expression<SqlType = sql_types::Bool> + diesel::BoolExpressionMethods,
    Q: InternalJoinDsl<T, Kind, dsl::And<IsTenant<T>, On>>,
{
    type Output = Scoped<'t, Q::Output>;
    fn join(self, _right: OfTenant<T>, kind: Kind, on: On) -> Self::Output {
        // A statement of a person has no tenant; the nil uuid owns no row, so the join finds nothing.
        let tenant = self.tenant.unwrap_or_else(|| crate::ids::Id::from_uuid(uuid::Uuid::nil()));
        let on = diesel::BoolExpressionMethods::and(is_tenant::<T>(tenant), on);
        self.with(|query| query.join(T::default(), kind, on))
    }
}

impl<'t, Q, T, Kind, On> InternalJoinDsl<OfAll<T>, Kind, On> for Scoped<'t, Q>
where
    T: GlobalTable,
    Q: InternalJoinDsl<T, Kind, On>,
{
    type Output = Scoped<'t, Q::Output>;
    fn join(self, _right: OfAll<T>, kind: Kind, on: On) -> Self::Output {
        self.with(|query| query.join(T::default(), kind, on))
    }
}

/// `UPDATE` and `DELETE`: only for a filtered table inside a [`WriteTx`].
impl<'t, Q: IntoUpdateTarget> Scoped<'t, Q> {
    /// Turns the selection into an update of the selected rows.
    pub fn set<V>(
        self,
        _proof: &'t WriteTx,
        values: V,
    ) -> Scoped<'t, UpdateStatement<Q::Table, Q::WhereClause, V::Changeset>>
    where
        V: diesel::AsChangeset<Target = Q::Table>,
        UpdateStatement<Q::Table, Q::WhereClause, V::Changeset>: AsQuery,
    {
        self.with(|query| diesel::update(query).set(values))
    }

    /// Turns the selection into a delete of the selected rows.
    pub fn delete(
        self,
        _proof: &'t WriteTx,
    ) -> Scoped<'t, diesel::query_builder::DeleteStatement<Q::Table, Q::WhereClause>> {
        self.with(|query| diesel::delete(query))
    }
}
