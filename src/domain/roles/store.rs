//! All SQL of the roles.

use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl, SelectableHelper};

use super::types::{Grant, Role, RoleSort};
use crate::{
    db::{
        DbError, TenantTx,
        tables::{role_grants, role_permissions, roles},
    },
    ids::{MemberId, RoleId},
    keyset,
};

/// The values of a row in its order, as they stand in a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// In the order by creation.
    CreatedAt(DateTime<Utc>),
    /// In the order by name.
    Name(String),
}

impl Place {
    /// Where this role stands in the order.
    pub fn of(role: &Role, sort: RoleSort) -> Self {
        match sort {
            RoleSort::CreatedAt => Self::CreatedAt(role.created_at),
            RoleSort::Name => Self::Name(role.name.clone()),
        }
    }
}

/// How a list is read: order, direction and where to go on.
pub(crate) struct Slice {
    pub(crate) sort: RoleSort,
    /// The direction of reading: the order's, turned around when the page is read backward.
    pub(crate) descending: bool,
    pub(crate) after: Option<(Place, RoleId)>,
    pub(crate) limit: i64,
}

/// Roles with these ids, in no particular order. Unknown, foreign and deleted ones are absent. One statement.
pub(crate) async fn find_many(tx: &TenantTx, ids: &[RoleId]) -> Result<Vec<Role>, DbError> {
    roles::in_tenant(tx)
        .filter(roles::id.eq_any(ids.to_vec()))
        .filter(roles::deleted_at.is_null())
        .select(Role::as_select())
        .load()
        .await
}

/// One page of the tenant's roles. One statement.
pub(crate) async fn page(tx: &TenantTx, slice: Slice) -> Result<Vec<Role>, DbError> {
    let query = roles::in_tenant(tx)
        .into_boxed()
        .filter(roles::deleted_at.is_null())
        .select(Role::as_select())
        .limit(slice.limit);
    let (after, descending) = (slice.after, slice.descending);
    match slice.sort {
        RoleSort::CreatedAt => {
            let after = after.and_then(|(place, id)| match place {
                Place::CreatedAt(at) => Some((at, id)),
                Place::Name(_) => None,
            });
            keyset!(query, roles::created_at, roles::id, descending, after).load().await
        }
        RoleSort::Name => {
            let after = after.and_then(|(place, id)| match place {
                Place::Name(name) => Some((name, id)),
                Place::CreatedAt(_) => None,
            });
            keyset!(query, roles::name, roles::id, descending, after).load().await
        }
    }
}

/// How many roles the tenant has; counting stops behind `most`. One statement.
pub(crate) async fn count(tx: &TenantTx, most: i64) -> Result<i64, DbError> {
    roles::in_tenant(tx).filter(roles::deleted_at.is_null()).select(roles::id).count_up_to(most).await
}

/// What these roles themselves allow and deny: role, permission, effect. One statement.
pub(crate) async fn permissions(tx: &TenantTx, ids: &[RoleId]) -> Result<Vec<(RoleId, String, String)>, DbError> {
    role_permissions::in_tenant(tx)
        .filter(role_permissions::role_id.eq_any(ids.to_vec()))
        .select((role_permissions::role_id, role_permissions::permission, role_permissions::effect))
        .load()
        .await
}

/// What these members hold at the instant `now`: tenant-wide grants first, then the oldest first. One statement.
pub(crate) async fn grants(tx: &TenantTx, members: &[MemberId], now: DateTime<Utc>) -> Result<Vec<Grant>, DbError> {
    role_grants::in_tenant(tx)
        .filter(role_grants::member_id.eq_any(members.to_vec()))
        .filter(role_grants::expires_at.is_null().or(role_grants::expires_at.gt(now)))
        .order((role_grants::workspace_id.is_not_null(), role_grants::created_at, role_grants::id))
        .select(Grant::as_select())
        .load()
        .await
}
