//! Batches of roles.

use std::collections::HashMap;

use super::{
    store,
    types::{Grant, Role},
};
use crate::{
    access::{On, Permission, RolePolicy},
    context::{Principal, RequestContext},
    db::{DbError, TenantTx},
    domain::reading::Batch,
    ids::{MemberId, RoleId},
};

fn sees_roles(ctx: &RequestContext) -> bool {
    ctx.can(Permission::RolesRead, On::Tenant)
}

/// Roles by id.
pub struct RoleById;

impl Batch for RoleById {
    type Key = RoleId;
    type Value = Role;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[RoleId]) -> Result<HashMap<RoleId, Role>, DbError> {
        if !sees_roles(ctx) {
            return Ok(HashMap::new());
        }
        Ok(store::find_many(tx, keys).await?.into_iter().map(|role| (role.id, role)).collect())
    }
}

/// What roles themselves allow and deny.
pub struct PolicyOfRole;

impl Batch for PolicyOfRole {
    type Key = RoleId;
    type Value = RolePolicy;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[RoleId],
    ) -> Result<HashMap<RoleId, RolePolicy>, DbError> {
        let mut found: HashMap<RoleId, RolePolicy> = HashMap::new();
        if !sees_roles(ctx) {
            return Ok(found);
        }
        for (role, permission, effect) in store::permissions(tx, keys).await? {
            // A permission that this release does not know is nothing that it could name.
            let Ok(permission) = permission.parse::<Permission>() else { continue };
            let policy = found.entry(role).or_default();
            let set = if effect == "deny" { &mut policy.deny } else { &mut policy.allow };
            set.insert(permission);
        }
        Ok(found)
    }
}

/// What members hold. Keys are members that the caller sees.
pub struct GrantsOfMember;

impl Batch for GrantsOfMember {
    type Key = MemberId;
    type Value = Vec<Grant>;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[MemberId],
    ) -> Result<HashMap<MemberId, Vec<Grant>>, DbError> {
        let mut found: HashMap<MemberId, Vec<Grant>> = HashMap::new();
        if !ctx.can(Permission::MembersRead, On::Anywhere) {
            return Ok(found);
        }
        let own = match (&ctx.principal, &ctx.membership) {
            (Principal::Person { .. }, Some(membership)) => Some(membership.member),
            _ => None,
        };
        for grant in store::grants(tx, keys, ctx.now()).await? {
            // A grant would tell of a workspace that the caller does not see; one's own tell nothing new.
            let is_shown = grant.workspace_id.is_none_or(|workspace| {
                own == Some(grant.member_id) || ctx.can(Permission::WorkspacesRead, On::Workspace(workspace))
            });
            if is_shown {
                found.entry(grant.member_id).or_default().push(grant);
            }
        }
        Ok(found)
    }
}
