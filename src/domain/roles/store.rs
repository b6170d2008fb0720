//! All SQL of the roles.

pub(crate) mod grants;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryableByName, SelectableHelper,
    sql_types::{Array, Text, Uuid as SqlUuid},
};

use super::types::{NewRole, Role, RoleChanges, RoleSort};
use crate::{
    access::{Permission, PermissionSet, escalation::Says},
    db::{
        DbError, TenantSql, TenantTx, WriteTx,
        tables::{role_permissions, roles, tenant_settings},
    },
    ids::RoleId,
    keyset,
};

/// The values of a row in its order, as they stand in a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// In the order by creation.
    CreatedAt(#[serde(with = "chrono::serde::ts_microseconds")] DateTime<Utc>),
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

/// The role, locked until the end of the transaction. One statement.
pub(super) async fn lock(tx: &WriteTx, id: RoleId) -> Result<Option<Role>, DbError> {
    roles::in_tenant(tx)
        .filter(roles::id.eq(id))
        .filter(roles::deleted_at.is_null())
        .select(Role::as_select())
        .for_update()
        .first()
        .await
}

#[derive(QueryableByName)]
struct PolicyRow {
    #[diesel(sql_type = SqlUuid)]
    role_id: RoleId,
    #[diesel(sql_type = Text)]
    permission: String,
    #[diesel(sql_type = Text)]
    effect: String,
}

/// What roles say with all that they inherit; the rights of members are loaded the same way.
const POLICIES: TenantSql = TenantSql::new(
    "WITH RECURSIVE chain (root, role_id, depth) AS ( \
       SELECT r.id, r.id, 0 FROM roles r WHERE r.tenant_id = {tenant} AND r.id = ANY ({}) \
       UNION \
       SELECT c.root, r.inherits_role_id, c.depth + 1 FROM chain c \
       JOIN roles r ON r.tenant_id = {tenant} AND r.id = c.role_id \
       WHERE r.inherits_role_id IS NOT NULL AND c.depth < 10) \
     SELECT c.root AS role_id, p.permission, p.effect FROM chain c \
     JOIN role_permissions p ON p.tenant_id = {tenant} AND p.role_id = c.role_id",
);

/// What these roles say, the roles they inherit from merged in. One statement.
pub(crate) async fn policies(tx: &TenantTx, ids: Vec<RoleId>) -> Result<HashMap<RoleId, Says>, DbError> {
    let rows: Vec<PolicyRow> = tx.raw(POLICIES).bind::<Array<SqlUuid>, _>(ids).load().await?;
    Ok(collected(rows.into_iter().map(|row| (row.role_id, row.permission, row.effect))))
}

/// What these roles themselves say. One statement.
pub(super) async fn own_policies(tx: &TenantTx, ids: &[RoleId]) -> Result<HashMap<RoleId, Says>, DbError> {
    let rows: Vec<(RoleId, String, String)> = role_permissions::in_tenant(tx)
        .filter(role_permissions::role_id.eq_any(ids.to_vec()))
        .select((role_permissions::role_id, role_permissions::permission, role_permissions::effect))
        .load()
        .await?;
    Ok(collected(rows.into_iter()))
}

/// What one role itself says. One statement.
pub(super) async fn own_policy(tx: &TenantTx, id: RoleId) -> Result<Says, DbError> {
    Ok(own_policies(tx, &[id]).await?.remove(&id).unwrap_or_default())
}

fn collected(rows: impl Iterator<Item = (RoleId, String, String)>) -> HashMap<RoleId, Says> {
    let mut found: HashMap<RoleId, Says> = HashMap::new();
    for (role, permission, effect) in rows {
        // A permission that this release does not know is nothing that it could name.
        let Ok(permission) = permission.parse::<Permission>() else { continue };
        let says = found.entry(role).or_default();
        let set = if effect == "deny" { &mut says.deny } else { &mut says.allow };
        set.insert(permission);
    }
    found
}

/// Those of these keys that a role has. One statement.
pub(super) async fn taken_among(tx: &TenantTx, keys: Vec<String>) -> Result<Vec<String>, DbError> {
    roles::in_tenant(tx)
        .filter(roles::key.eq_any(keys))
        .filter(roles::deleted_at.is_null())
        .select(roles::key)
        .load()
        .await
}

/// Inserts one role. One statement.
pub(super) async fn insert(tx: &WriteTx, new: NewRole) -> Result<Option<Role>, DbError> {
    roles::insert(tx, new).with(|insert| insert.returning(Role::as_returning())).first().await
}

/// Changes a role that is at `version` and gives its new form; `None` if it is at another. One statement.
pub(super) async fn update(
    tx: &WriteTx,
    id: RoleId,
    version: i32,
    changes: RoleChanges,
    now: DateTime<Utc>,
) -> Result<Option<Role>, DbError> {
    roles::in_tenant(tx)
        .filter(roles::id.eq(id))
        .filter(roles::version.eq(version))
        .set(tx, (changes, roles::version.eq(version + 1), roles::updated_at.eq(now)))
        .with(|update| update.returning(Role::as_returning()))
        .first()
        .await
}

#[derive(Insertable)]
#[diesel(table_name = role_permissions)]
struct NewPermission {
    role_id: RoleId,
    permission: &'static str,
    effect: &'static str,
    created_at: DateTime<Utc>,
}

/// Replaces what a role itself allows and denies. Two statements.
pub(super) async fn set_policy(tx: &WriteTx, id: RoleId, says: Says, now: DateTime<Utc>) -> Result<(), DbError> {
    role_permissions::in_tenant(tx).filter(role_permissions::role_id.eq(id)).delete(tx).execute().await?;
    let rows_of = |set: PermissionSet, effect: &'static str| {
        set.iter().map(move |permission| NewPermission {
            role_id: id,
            permission: permission.name(),
            effect,
            created_at: now,
        })
    };
    let rows: Vec<_> = rows_of(says.allow, "allow").chain(rows_of(says.deny, "deny")).collect();
    if rows.is_empty() {
        return Ok(());
    }
    role_permissions::insert_many(tx, rows).execute().await.map(drop)
}

/// How many roles inherit from this one. One statement.
pub(super) async fn heirs(tx: &WriteTx, id: RoleId) -> Result<Vec<Role>, DbError> {
    roles::in_tenant(tx)
        .filter(roles::inherits_role_id.eq(id))
        .filter(roles::deleted_at.is_null())
        .select(Role::as_select())
        .for_update()
        .load()
        .await
}

/// Lets the heirs of one role inherit from another. One statement.
pub(super) async fn move_heirs(tx: &WriteTx, from: RoleId, to: RoleId, now: DateTime<Utc>) -> Result<usize, DbError> {
    roles::in_tenant(tx)
        .filter(roles::inherits_role_id.eq(from))
        .filter(roles::deleted_at.is_null())
        .set(tx, (roles::inherits_role_id.eq(to), roles::version.eq(roles::version + 1), roles::updated_at.eq(now)))
        .execute()
        .await
}

/// Whether new members get this role. One statement.
pub(super) async fn is_default(tx: &WriteTx, id: RoleId) -> Result<bool, DbError> {
    let found: Option<Option<RoleId>> = tenant_settings::in_tenant(tx)
        .filter(tenant_settings::default_role_id.eq(id))
        .select(tenant_settings::default_role_id)
        .for_update()
        .first()
        .await?;
    Ok(found.is_some())
}

/// Gives new members another role. One statement.
pub(super) async fn set_default(tx: &WriteTx, to: RoleId, now: DateTime<Utc>) -> Result<(), DbError> {
    tenant_settings::in_tenant(tx)
        .set(
            tx,
            (
                tenant_settings::default_role_id.eq(to),
                tenant_settings::version.eq(tenant_settings::version + 1),
                tenant_settings::updated_at.eq(now),
            ),
        )
        .execute()
        .await
        .map(drop)
}
