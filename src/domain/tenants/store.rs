//! All SQL of the tenant, and of where a person is a member.

use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{BigInt, Text, Uuid as SqlUuid},
};

use super::types::{Membership, Settings, Tenant, TenantWithPlan, Usage};
use crate::{
    db::{
        DbError, Person, TenantTx,
        tables::{plans, tenant_counters, tenant_settings, tenants},
    },
    ids::TenantId,
    keyset_text,
};

/// The transaction's tenant. One statement.
pub(crate) async fn find(tx: &TenantTx) -> Result<Option<TenantWithPlan>, DbError> {
    let found: Option<(Tenant, String)> = tenants::in_tenant(tx)
        .inner_join(plans::joined(plans::id.eq(tenants::plan_id)))
        .select((Tenant::as_select(), plans::key))
        .first()
        .await?;
    Ok(found.map(|(tenant, plan)| TenantWithPlan { tenant, plan }))
}

/// Its settings. One statement.
pub(crate) async fn settings(tx: &TenantTx) -> Result<Option<Settings>, DbError> {
    tenant_settings::in_tenant(tx).select(Settings::as_select()).first().await
}

/// What it uses. One statement.
pub(crate) async fn usage(tx: &TenantTx) -> Result<Option<Usage>, DbError> {
    tenant_counters::in_tenant(tx).select(Usage::as_select()).first().await
}

/// How a person's memberships are read, in the order of the tenants' names: direction and where to go on.
pub(crate) struct Slice {
    /// Against the order, because the page is read backward.
    pub(crate) descending: bool,
    pub(crate) after: Option<(String, TenantId)>,
    pub(crate) limit: i64,
}

/// One page of the tenants of which this person is a member. One statement.
pub(crate) async fn memberships(person: Person<'_>, slice: Slice) -> Result<Vec<Membership>, DbError> {
    let text = keyset_text!("m.name", "m.tenant_id", slice.descending);
    let mut raw =
        person.call("SELECT m.* FROM app.memberships_of({}) AS m WHERE true").bind::<SqlUuid, _>(person.user());
    if let Some((name, id)) = slice.after {
        raw = raw.then(text.behind).bind::<Text, _>(name).bind::<SqlUuid, _>(id);
    }
    raw.then(text.page).bind::<BigInt, _>(slice.limit).load().await
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// Of how many tenants this person is a member. One statement.
pub(crate) async fn count_memberships(person: Person<'_>) -> Result<i64, DbError> {
    let row: Option<Total> = person
        .call("SELECT count(*) AS total FROM app.memberships_of({})")
        .bind::<SqlUuid, _>(person.user())
        .first()
        .await?;
    Ok(row.map_or(0, |row| row.total))
}

/// The tenant that this person opened last, while they are a member of it. One statement.
pub(crate) async fn last_membership(person: Person<'_>) -> Result<Option<Membership>, DbError> {
    person
        .call(
            "SELECT m.* FROM app.viewer() AS v CROSS JOIN LATERAL app.memberships_of(v.user_id) AS m \
             WHERE m.tenant_id = v.last_tenant_id",
        )
        .first()
        .await
}
