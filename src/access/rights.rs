//! From grants to rights: [`resolve`] once per change of rights, [`EffectiveRights::allows`] per question.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::permission::{Permission, PermissionSet};
use crate::ids::{RoleId, WorkspaceId};

/// How far up a tree of workspaces is followed. The database allows 5 levels; a loop in the data must not hang a request.
const MAX_DEPTH: usize = 32;

/// One role given to one principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleGrant {
    /// The role.
    pub role: RoleId,
    /// Where it was given; `None` is the whole tenant.
    pub workspace: Option<WorkspaceId>,
    /// From this instant on the grant counts for nothing.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a role says, its inherited role already merged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RolePolicy {
    /// What it allows.
    pub allow: PermissionSet,
    /// What it denies, whatever else allows it.
    pub deny: PermissionSet,
}

/// What a question about a right is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum On {
    /// The tenant as a whole.
    Tenant,
    /// This workspace.
    Workspace(WorkspaceId),
    /// Somewhere in the tenant: the tenant as a whole, or at least one workspace.
    Anywhere,
}

/// Where somebody holds a right; what a list has to be cut to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// In every workspace, those that do not exist yet included.
    All,
    /// In every workspace but these, in order.
    AllExcept(Vec<WorkspaceId>),
    /// In these workspaces only, in order; never empty.
    Only(Vec<WorkspaceId>),
    /// Nowhere.
    None,
}

impl Reach {
    /// Whether this workspace is within reach.
    pub fn contains(&self, workspace: WorkspaceId) -> bool {
        match self {
            Self::All => true,
            Self::AllExcept(hidden) => hidden.binary_search(&workspace).is_err(),
            Self::Only(visible) => visible.binary_search(&workspace).is_ok(),
            Self::None => false,
        }
    }

    /// The same as two optional lists, for a raw statement: only these, all but these.
    pub fn bounds(&self) -> (Option<Vec<WorkspaceId>>, Option<Vec<WorkspaceId>>) {
        match self {
            Self::All => (None, None),
            Self::AllExcept(hidden) => (None, Some(hidden.clone())),
            Self::Only(visible) => (Some(visible.clone()), None),
            Self::None => (Some(Vec::new()), None),
        }
    }
}

/// One reason in the chain of a [`Decision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// This grant gives the right: its role allows `by`, which is the permission itself or implies it.
    Granted {
        /// The role of the grant.
        role: RoleId,
        /// Where the role was given; `None` is the whole tenant. An ancestor of the place when it is inherited.
        workspace: Option<WorkspaceId>,
        /// What the role allows literally.
        by: Permission,
    },
    /// This grant denies `denied` at the place: the permission itself, or what would have implied it.
    Denied {
        /// The role of the grant.
        role: RoleId,
        /// Where the role was given; `None` is the whole tenant.
        workspace: Option<WorkspaceId>,
        /// What the role denies literally.
        denied: Permission,
    },
    /// The role allows it, but it was given on a workspace and only a tenant-wide grant can give this right.
    TenantOnly {
        /// The role of the grant.
        role: RoleId,
        /// Where the role was given.
        workspace: WorkspaceId,
    },
    /// The API key was not issued for it.
    OutsideScopes,
    /// The API key is restricted to workspaces that the place is not part of.
    OutsideWorkspaces,
    /// No grant that applies to the place allows it.
    NotGranted,
}

/// An answer with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed; always what [`EffectiveRights::allows`] says.
    pub allowed: bool,
    /// The reasons: the grants that give it, or everything that stands in the way.
    pub steps: Vec<Step>,
}

/// A grant that counts, with what its role says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    role: RoleId,
    workspace: Option<WorkspaceId>,
    policy: RolePolicy,
}

/// Everything a principal may do in one tenant, resolved.
///
/// Made by [`resolve`] and kept in a cache; asking costs at most one look-up in a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveRights {
    /// What holds for the tenant as a whole, and in every workspace that is not in `workspaces`.
    pub tenant: PermissionSet,
    /// What holds in each workspace that a grant of its own or of an ancestor reaches.
    pub workspaces: HashMap<WorkspaceId, PermissionSet>,
    /// The tenant's access version that this was resolved from.
    pub version: i64,
    anywhere: PermissionSet,
    granted: Vec<WorkspaceId>,
    sources: Vec<Source>,
    parents: HashMap<WorkspaceId, Option<WorkspaceId>>,
    scopes: PermissionSet,
    within: Option<HashSet<WorkspaceId>>,
}

/// Resolves grants into rights at the instant `now`.
///
/// `tree` holds every workspace in the granted subtrees with its parent (the parent of a subtree's root may be given or
/// not); a granted workspace that is missing in it stands alone. A grant of a role that `policies` does not know counts
/// for nothing.
pub fn resolve(
    grants: &[RoleGrant],
    policies: &HashMap<RoleId, RolePolicy>,
    tree: &[(WorkspaceId, Option<WorkspaceId>)],
    now: DateTime<Utc>,
    version: i64,
) -> EffectiveRights {
    let sources: Vec<Source> = grants
        .iter()
        .filter(|grant| grant.expires_at.is_none_or(|end| now < end))
        .filter_map(|grant| {
            let policy = *policies.get(&grant.role)?;
            Some(Source { role: grant.role, workspace: grant.workspace, policy })
        })
        .collect();
    let mut parents: HashMap<_, _> = tree.iter().copied().collect();
    for workspace in sources.iter().filter_map(|source| source.workspace) {
        parents.entry(workspace).or_insert(None);
    }
    let mut rights = EffectiveRights {
        tenant: PermissionSet::EMPTY,
        workspaces: HashMap::new(),
        version,
        anywhere: PermissionSet::EMPTY,
        granted: Vec::new(),
        sources,
        parents,
        scopes: PermissionSet::ALL,
        within: None,
    };
    rights.tenant = rights.weigh(On::Tenant).rights();
    rights.workspaces = (rights.parents.keys())
        .filter(|workspace| {
            rights.line(**workspace).any(|place| rights.sources.iter().any(|s| s.workspace == Some(place)))
        })
        .map(|workspace| (*workspace, rights.weigh(On::Workspace(*workspace)).rights()))
        .collect();
    rights.granted = rights.workspaces.keys().copied().collect();
    rights.granted.sort_unstable();
    rights.anywhere = rights.everywhere_together();
    rights
}

/// What the grants that apply to one place say, put together.
#[derive(Default)]
struct Weighed {
    by_tenant: PermissionSet,
    by_workspace: PermissionSet,
    denied: PermissionSet,
}

impl Weighed {
    fn rights(&self) -> PermissionSet {
        let tenant = self.by_tenant.intersection(PermissionSet::TENANT).closure_without(self.denied);
        // Cut before and after the closure: a right of a workspace may imply one that only a tenant can give.
        let workspace = self.by_workspace.intersection(PermissionSet::WORKSPACE).closure_without(self.denied);
        tenant.union(workspace.intersection(PermissionSet::WORKSPACE))
    }
}

impl EffectiveRights {
    /// Rights of somebody who may do nothing in the tenant.
    pub fn none() -> Self {
        resolve(&[], &HashMap::new(), &[], DateTime::<Utc>::MIN_UTC, 0)
    }

    /// Whether the permission is held there.
    pub fn allows(&self, permission: Permission, on: On) -> bool {
        match on {
            On::Tenant => self.tenant.contains(permission),
            On::Workspace(workspace) => self.on_workspace(workspace).contains(permission),
            On::Anywhere => self.anywhere.contains(permission),
        }
    }

    /// Everything held on this workspace.
    pub fn on_workspace(&self, workspace: WorkspaceId) -> PermissionSet {
        self.workspaces.get(&workspace).copied().unwrap_or(self.tenant)
    }

    /// Everything held for the tenant or on at least one workspace.
    pub fn anywhere(&self) -> PermissionSet {
        self.anywhere
    }

    /// The workspaces that a grant of their own or of an ancestor reaches, in order, whatever it says there. An API key has
    /// those of its owner: what the key may do there is another question.
    pub fn granted_workspaces(&self) -> &[WorkspaceId] {
        &self.granted
    }

    /// Whether the person holds the permission for the whole tenant. For an API key this asks about its owner, whatever
    /// the key was issued for.
    pub fn person_holds(&self, permission: Permission) -> bool {
        self.weigh(On::Tenant).rights().contains(permission)
    }

    /// The workspaces where the permission is held; what a list must be cut to.
    pub fn workspaces_with(&self, permission: Permission) -> Reach {
        let everywhere_else = self.tenant.contains(permission);
        let mut special: Vec<_> = (self.workspaces.iter())
            .filter(|(_, set)| set.contains(permission) != everywhere_else)
            .map(|(workspace, _)| *workspace)
            .collect();
        special.sort_unstable();
        match (everywhere_else, special.is_empty()) {
            (true, true) => Reach::All,
            (true, false) => Reach::AllExcept(special),
            (false, true) => Reach::None,
            (false, false) => Reach::Only(special),
        }
    }

    /// These rights cut to what an API key was issued for.
    ///
    /// `scopes` count with what they imply. `within` holds a workspace and all its descendants: then nothing is left for the
    /// tenant as a whole, nor for other workspaces, and in those only what a workspace can give. Never wider than before.
    pub fn restricted_to(&self, scopes: PermissionSet, within: Option<&HashSet<WorkspaceId>>) -> Self {
        let mut cut = self.clone();
        cut.scopes = self.scopes.intersection(scopes.closure());
        cut.within = match (&self.within, within) {
            (None, None) => None,
            (Some(set), None) | (None, Some(set)) => Some(set.clone()),
            (Some(before), Some(now)) => Some(before.intersection(now).copied().collect()),
        };
        match &cut.within {
            None => {
                cut.tenant = self.tenant.intersection(cut.scopes);
                cut.workspaces.values_mut().for_each(|set| *set = set.intersection(cut.scopes));
            }
            Some(within) => {
                let held = cut.scopes.intersection(PermissionSet::WORKSPACE);
                cut.tenant = PermissionSet::EMPTY;
                cut.workspaces = within.iter().map(|id| (*id, self.on_workspace(*id).intersection(held))).collect();
            }
        }
        cut.anywhere = cut.everywhere_together();
        cut
    }

    /// The answer of [`allows`](Self::allows) with its reasons.
    pub fn decide(&self, permission: Permission, on: On) -> Decision {
        let allowed = self.allows(permission, on);
        let mut steps = Vec::new();
        if allowed {
            self.grants_for(permission, self.place_of(permission, on), &mut steps);
        } else {
            self.obstacles(permission, on, &mut steps);
        }
        Decision { allowed, steps }
    }

    /// Where an allowed permission is held, when the question was "anywhere": the tenant, else the first workspace.
    fn place_of(&self, permission: Permission, on: On) -> On {
        if on != On::Anywhere || self.tenant.contains(permission) {
            return if on == On::Anywhere { On::Tenant } else { on };
        }
        let holders = self.workspaces.iter().filter(|(_, set)| set.contains(permission));
        holders.map(|(workspace, _)| *workspace).min().map_or(On::Tenant, On::Workspace)
    }

    fn grants_for(&self, permission: Permission, on: On, steps: &mut Vec<Step>) {
        let denied = self.weigh(on).denied;
        for source in self.applying(on) {
            let given = match source.workspace {
                None => PermissionSet::TENANT,
                Some(_) => PermissionSet::WORKSPACE,
            };
            if !given.contains(permission) {
                continue;
            }
            let literal = source.policy.allow.intersection(given).minus(denied);
            let direct = literal.contains(permission).then_some(permission);
            let by = direct.or_else(|| {
                literal.iter().find(|one| PermissionSet::from(*one).closure_without(denied).contains(permission))
            });
            if let Some(by) = by {
                push(steps, Step::Granted { role: source.role, workspace: source.workspace, by });
            }
        }
    }

    fn obstacles(&self, permission: Permission, on: On, steps: &mut Vec<Step>) {
        if !self.scopes.contains(permission) {
            push(steps, Step::OutsideScopes);
        }
        if let Some(within) = &self.within {
            let inside = match on {
                On::Workspace(workspace) => within.contains(&workspace),
                On::Tenant => false,
                On::Anywhere => !within.is_empty(),
            };
            if !(inside && PermissionSet::WORKSPACE.contains(permission)) {
                push(steps, Step::OutsideWorkspaces);
            }
        }
        let mut granted = false;
        let places = match on {
            On::Anywhere => {
                let mut granted_on: Vec<_> = self.sources.iter().filter_map(|source| source.workspace).collect();
                granted_on.sort_unstable();
                granted_on.dedup();
                std::iter::once(On::Tenant).chain(granted_on.into_iter().map(On::Workspace)).collect()
            }
            place => vec![place],
        };
        for place in places {
            for source in self.applying(place) {
                for one in source.policy.deny.iter() {
                    if one == permission || one.implies().contains(permission) && self.is_allowed_by_some(one, place) {
                        push(steps, Step::Denied { role: source.role, workspace: source.workspace, denied: one });
                    }
                }
                let Some(workspace) = source.workspace else { continue };
                if !PermissionSet::WORKSPACE.contains(permission) && source.policy.allow.closure().contains(permission)
                {
                    push(steps, Step::TenantOnly { role: source.role, workspace });
                }
            }
            granted |= self.weigh(place).rights().contains(permission);
        }
        if steps.is_empty() {
            // Granted and yet not allowed: held only where the key does not reach.
            push(steps, if granted { Step::OutsideWorkspaces } else { Step::NotGranted });
        }
    }

    fn is_allowed_by_some(&self, permission: Permission, on: On) -> bool {
        self.applying(on).any(|source| source.policy.allow.contains(permission))
    }

    /// What the sources say about a place, the key's restrictions left out.
    fn weigh(&self, on: On) -> Weighed {
        let mut weighed = Weighed::default();
        for source in self.applying(on) {
            let allowed = match source.workspace {
                None => &mut weighed.by_tenant,
                Some(_) => &mut weighed.by_workspace,
            };
            *allowed = allowed.union(source.policy.allow);
            weighed.denied = weighed.denied.union(source.policy.deny);
        }
        weighed
    }

    /// The grants that apply to a place: the tenant-wide ones, and those on the workspace and its ancestors.
    fn applying(&self, on: On) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| match (source.workspace, on) {
            (None, _) => true,
            (Some(granted), On::Workspace(asked)) => self.line(asked).any(|place| place == granted),
            (Some(_), _) => false,
        })
    }

    /// A workspace and its ancestors, as far as they are known.
    fn line(&self, workspace: WorkspaceId) -> impl Iterator<Item = WorkspaceId> {
        std::iter::successors(Some(workspace), |place| self.parents.get(place).copied().flatten()).take(MAX_DEPTH)
    }

    fn everywhere_together(&self) -> PermissionSet {
        self.workspaces.values().fold(self.tenant, |all, set| all.union(*set))
    }
}

fn push(steps: &mut Vec<Step>, step: Step) {
    if !steps.contains(&step) {
        steps.push(step);
    }
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
