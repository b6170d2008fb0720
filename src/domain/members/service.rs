//! The use cases of members.

use std::collections::HashSet;

use diesel::{ExpressionMethods, QueryDsl};

use crate::{
    db::{DbError, TenantTx, tables::members},
    ids::MemberId,
};

/// Those of these members who are active in the transaction's tenant. One statement, none for no ids.
pub async fn active_among(tx: &TenantTx, ids: &[MemberId]) -> Result<HashSet<MemberId>, DbError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let found: Vec<MemberId> = members::in_tenant(tx)
        .filter(members::id.eq_any(ids.to_vec()))
        .filter(members::status.eq("active"))
        .select(members::id)
        .load()
        .await?;
    Ok(found.into_iter().collect())
}
