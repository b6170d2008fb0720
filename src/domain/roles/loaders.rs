//! Batches of roles.

use std::collections::{HashMap, HashSet};

use super::{
    store,
    types::{Grant, Role},
};
use crate::{
    access::{On, Permission, PermissionSet, RolePolicy, RoleSays},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::{
        members::service::own_member,
        reading::Batch,
        workspaces::{loaders::WorkspaceById, sight::Sight},
    },
    ids::{MemberId, RoleId, WorkspaceId},
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
        let mut found: HashMap<RoleId, RoleSays> = HashMap::new();
        if !sees_roles(ctx) {
            return Ok(HashMap::new());
        }
        for (role, permission, effect) in store::permissions(tx, keys).await? {
            // A permission that this release does not know is nothing that it could name.
            let Ok(permission) = permission.parse::<Permission>() else { continue };
            let nothing = RoleSays { role, allow: PermissionSet::EMPTY, deny: PermissionSet::EMPTY };
            let says = found.entry(role).or_insert(nothing);
            let set = if effect == "deny" { &mut says.deny } else { &mut says.allow };
            set.insert(permission);
        }
        Ok(found.into_iter().map(|(role, says)| (role, RolePolicy::of([says]))).collect())
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
        let grants = store::grants(tx, keys, ctx.now()).await?;
        let hidden = hidden_workspaces(tx, ctx, &grants).await?;
        for grant in grants {
            if grant.workspace_id.is_none_or(|workspace| !hidden.contains(&workspace)) {
                let Some(member) = grant.member_id else { continue };
                found.entry(member).or_default().push(grant);
            }
        }
        Ok(found)
    }
}

/// The workspaces of these grants that the caller does not see: a grant would tell of them. One's own tell nothing new.
///
/// One statement, and only if there are workspaces that are perhaps private.
async fn hidden_workspaces(
    tx: &TenantTx,
    ctx: &RequestContext,
    grants: &[Grant],
) -> Result<HashSet<WorkspaceId>, DbError> {
    let own = own_member(ctx);
    let (sight, reach) = (Sight::of_request(ctx), ctx.reach(Permission::WorkspacesRead));
    let others = grants.iter().filter(|grant| own.is_none() || own != grant.member_id);
    let (perhaps, mut hidden): (HashSet<_>, HashSet<_>) = others
        .filter_map(|grant| grant.workspace_id)
        .filter(|workspace| !reach.contains(*workspace) || !sight.enters_private(*workspace))
        .partition(|workspace| reach.contains(*workspace));
    if !perhaps.is_empty() {
        let perhaps: Vec<_> = perhaps.into_iter().collect();
        let seen = WorkspaceById::load(tx, ctx, &perhaps).await?;
        hidden.extend(perhaps.into_iter().filter(|workspace| !seen.contains_key(workspace)));
    }
    Ok(hidden)
}
