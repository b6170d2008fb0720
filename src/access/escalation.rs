//! Nobody gives what they do not hold: one function that every change of rights asks first.
//!
//! A change is described by what a role says at a place before and after it: giving a role begins with nothing, taking it
//! away ends with nothing, editing it or putting another in its place has both. What anybody might gain by it is what is
//! newly allowed and what is no longer denied, each with what it implies; whoever changes it must hold all of that
//! themselves, everywhere the change reaches. So a denial cannot be got around by taking it away, a grant on a parent
//! workspace is weighed on every child, and an API key, whose rights are cut already, gives away no more than its scopes.
//!
//! Ada may edit tasks in *atlas* and nowhere else, and holds `roles:grant` there. She makes Bo an editor of *atlas*: fine.
//! She cannot make him an editor of the tenant, nor administrator of *atlas*, nor take from him the role that denies him
//! `projects:delete` there.

use std::collections::HashSet;

use super::{EffectiveRights, On, Permission, PermissionSet, Reach, RolePolicy};
use crate::ids::WorkspaceId;

/// What a role says with all that it inherits; of a change, one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// What it allows.
    pub allow: PermissionSet,
    /// What it denies, whatever else allows it.
    pub deny: PermissionSet,
}

impl Says {
    /// What a role says that is not there.
    pub const NOTHING: Says = Says { allow: PermissionSet::EMPTY, deny: PermissionSet::EMPTY };

    /// Both together, as a role has what it inherits besides its own.
    pub fn and(self, other: Says) -> Says {
        Says { allow: self.allow.union(other.allow), deny: self.deny.union(other.deny) }
    }

    /// What it gives: what it denies itself it does not give, wherever it is given.
    pub fn gives(self) -> PermissionSet {
        self.allow.minus(self.deny)
    }
}

impl From<&RolePolicy> for Says {
    fn from(policy: &RolePolicy) -> Self {
        Says { allow: policy.allow, deny: policy.deny }
    }
}

/// Where a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The tenant as a whole and every workspace.
    Tenant,
    /// These workspaces: the one where a role is given, with everything below it.
    Workspaces(&'a HashSet<WorkspaceId>),
}

/// What `caller` would have to hold and does not, for a role that said `before` to say `after` at `place`. Empty means
/// that nobody gains by it what the caller does not hold there.
pub fn missing(caller: &EffectiveRights, before: Says, after: Says, place: Place<'_>) -> PermissionSet {
    gained(before, after, place).iter().filter(|permission| !holds(caller, (*permission).into(), place)).collect()
}

/// What somebody might gain when a role that said `before` says `after` at `place`.
pub fn gained(before: Says, after: Says, place: Place<'_>) -> PermissionSet {
    let given = match place {
        Place::Tenant => PermissionSet::TENANT,
        Place::Workspaces(_) => PermissionSet::WORKSPACE,
    };
    let new = after.gives().intersection(given).minus(before.gives());
    let allowed = new.closure_without(after.deny).intersection(given);
    // A denial on a workspace also denies there what only the tenant can give.
    let undenied = before.deny.minus(after.deny).closure_without(after.deny).intersection(PermissionSet::TENANT);
    let gained = allowed.union(undenied);
    // Whoever manages all workspaces has in the private ones whatever else they hold in the tenant.
    match place {
        Place::Tenant if gained.contains(Permission::WorkspacesUpdate) => gained.union(PermissionSet::WORKSPACE),
        _ => gained,
    }
}

/// Whether all of these are held everywhere the place reaches.
pub fn holds(caller: &EffectiveRights, wanted: PermissionSet, place: Place<'_>) -> bool {
    wanted.iter().all(|permission| match place {
        Place::Tenant => caller.allows(permission, On::Tenant) && caller.workspaces_with(permission) == Reach::All,
        Place::Workspaces(all) => all.iter().all(|workspace| caller.allows(permission, On::Workspace(*workspace))),
    })
}

#[cfg(test)]
#[path = "escalation_tests.rs"]
mod tests;
