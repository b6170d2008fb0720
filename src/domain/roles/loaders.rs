//! Batches of roles.

use std::collections::HashMap;

use super::{
    grants, store,
    types::{Grant, Role},
};
use crate::{
    access::{On, Permission, escalation::Says},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::{members::service::own_member, reading::Batch},
    ids::{MemberId, RoleGrantId, RoleId},
};

/// Who reads roles sees them, and who gives them somewhere: the administrator of a workspace has to name them.
pub(super) fn sees_roles(ctx: &RequestContext) -> bool {
    ctx.can(Permission::RolesRead, On::Tenant) || ctx.can(Permission::RolesGrant, On::Anywhere)
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
    type Value = Says;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[RoleId]) -> Result<HashMap<RoleId, Says>, DbError> {
        match sees_roles(ctx) {
            true => store::own_policies(tx, keys).await,
            false => Ok(HashMap::new()),
        }
    }
}

/// What roles allow and deny with all that they inherit.
pub struct WholePolicyOfRole;

impl Batch for WholePolicyOfRole {
    type Key = RoleId;
    type Value = Says;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[RoleId]) -> Result<HashMap<RoleId, Says>, DbError> {
        match sees_roles(ctx) {
            true => store::policies(tx, keys.to_vec()).await,
            false => Ok(HashMap::new()),
        }
    }
}

/// Grants by id.
pub struct GrantById;

impl Batch for GrantById {
    type Key = RoleGrantId;
    type Value = Grant;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[RoleGrantId],
    ) -> Result<HashMap<RoleGrantId, Grant>, DbError> {
        let sight = grants::sight(ctx);
        let found = store::grants::find_many(tx, keys).await?;
        let seen = found.into_iter().filter(|grant| sight.shows(grant.workspace_id));
        Ok(seen.map(|grant| (grant.id, grant)).collect())
    }
}

/// What members hold themselves, the first twenty of each. Keys are members that the caller sees.
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
        // A grant tells of its workspace. One's own tell nothing new.
        let (own, reach) = (own_member(ctx), ctx.reach(Permission::WorkspacesRead));
        for grant in store::grants::of_members(tx, keys, ctx.now()).await? {
            let Some(member) = grant.member_id else { continue };
            let seen = own == Some(member) || grant.workspace_id.is_none_or(|workspace| reach.contains(workspace));
            if seen {
                found.entry(member).or_default().push(grant);
            }
        }
        Ok(found)
    }
}
