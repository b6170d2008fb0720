//! From grants to rights: [`resolve`] once per change of rights, [`EffectiveRights::allows`] per question.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::permission::{Permission, PermissionSet};
use crate::ids::{GroupId, RoleGrantId, RoleId, WorkspaceId};

/// How far up a tree of workspaces is followed. The database allows 5 levels; a loop in the data must not hang a request.
const MAX_DEPTH: usize = 32;

/// One role given to one principal, or to a group that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct RoleGrant {
    /// Its id.
    pub id: RoleGrantId,
    /// The role.
    pub role: RoleId,
    /// The group that holds it; `None` if the principal itself does.
    pub group: Option<GroupId>,
    /// Where it was given; `None` is the whole tenant.
    pub workspace: Option<WorkspaceId>,
    /// From this instant on the grant counts for nothing.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What one role itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RoleSays {
    /// The role.
    pub role: RoleId,
    /// What it allows.
    pub allow: PermissionSet,
    /// What it denies, whatever else allows it.
    pub deny: PermissionSet,
}

/// What a role says together with those it inherits from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RolePolicy {
    /// What it allows.
    pub allow: PermissionSet,
    /// What it denies, whatever else allows it.
    pub deny: PermissionSet,
    /// Who says what: the role itself first, then what it inherits from.
    line: Arc<[RoleSays]>,
}

impl RolePolicy {
    /// The policy of a line of inheritance: the role itself first, then the role it inherits from, and so on.
    pub fn of(line: impl Into<Arc<[RoleSays]>>) -> Self {
        let line = line.into();
        let all =
            |set: fn(&RoleSays) -> PermissionSet| line.iter().map(set).fold(PermissionSet::EMPTY, PermissionSet::union);
        Self { allow: all(|says| says.allow), deny: all(|says| says.deny), line }
    }

    /// Who says what: the role itself first, then what it inherits from.
    pub fn line(&self) -> &[RoleSays] {
        &self.line
    }

    fn who_says(&self, says: impl Fn(&RoleSays) -> bool) -> Option<RoleId> {
        self.line.iter().find(|role| says(role)).map(|role| role.role)
    }
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

    /// What is left of it when one workspace is asked for.
    pub fn within(&self, workspace: Option<WorkspaceId>) -> Self {
        match workspace {
            None => self.clone(),
            Some(workspace) if self.contains(workspace) => Self::Only(vec![workspace]),
            Some(_) => Self::None,
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

/// The grant that a reason comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Through {
    /// The grant, with its role, the place where it was given and the group that holds it.
    pub grant: RoleGrant,
    /// The role that says so: the one granted, or one that it inherits from.
    pub says: RoleId,
}

/// One reason in the chain of a [`Decision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// This grant gives the right: its role allows `by`, which is the permission itself or implies it. When the grant was
    /// given on an ancestor of the place, the place inherits it.
    Granted {
        /// Where it comes from.
        through: Through,
        /// What the role allows literally.
        by: Permission,
    },
    /// This grant denies `denied` at the place: the permission itself, or what would have implied it.
    Denied {
        /// Where it comes from.
        through: Through,
        /// What the role denies literally.
        denied: Permission,
    },
    /// The role allows it, but it was given on a workspace and only a tenant-wide grant can give this right.
    TenantOnly {
        /// Where it comes from.
        through: Through,
    },
    /// The role allows it in the whole tenant, but the place is private or lies in a private workspace, which only a grant
    /// there opens.
    Private {
        /// Where it comes from.
        through: Through,
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
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    grant: RoleGrant,
    policy: RolePolicy,
}

impl Source {
    fn workspace(&self) -> Option<WorkspaceId> {
        self.grant.workspace
    }

    fn through(&self, says: impl Fn(&RoleSays) -> bool) -> Through {
        Through { grant: self.grant, says: self.policy.who_says(says).unwrap_or(self.grant.role) }
    }
}

/// Everything a principal may do in one tenant, resolved.
///
/// Made by [`resolve`] and kept in a cache; asking costs at most one look-up in a map. Written down are the grants and what
/// their roles say, not what follows from them: whoever reads it resolves it anew.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "stored::Stored", from = "stored::Stored")]
pub struct EffectiveRights {
    /// What holds for the tenant as a whole, and in every workspace that is not in `workspaces`.
    pub tenant: PermissionSet,
    /// What holds in each workspace that a grant of its own or of an ancestor reaches, or that is closed to tenant-wide ones.
    pub workspaces: HashMap<WorkspaceId, PermissionSet>,
    /// The tenant's access version that this was resolved from.
    pub version: i64,
    anywhere: PermissionSet,
    granted: Vec<WorkspaceId>,
    sources: Vec<Source>,
    parents: HashMap<WorkspaceId, Option<WorkspaceId>>,
    /// Where a tenant-wide grant does not reach, unless it gives `workspaces:update`.
    private: HashSet<WorkspaceId>,
    scopes: PermissionSet,
    within: Option<HashSet<WorkspaceId>>,
}

/// Resolves grants into rights at the instant `now`.
///
/// `tree` holds every workspace in the granted and in the private subtrees with its parent (the parent of a subtree's root
/// may be given or not); a granted workspace that is missing in it stands alone. `private` holds the private workspaces of
/// the tenant: what a tenant-wide grant allows stops there, with everything below, unless tenant-wide grants give
/// `workspaces:update`, which opens them all; what it denies does not stop. A grant of a role that `policies` does not
/// know counts for nothing.
pub fn resolve(
    grants: &[RoleGrant],
    policies: &HashMap<RoleId, RolePolicy>,
    tree: &[(WorkspaceId, Option<WorkspaceId>)],
    private: &[WorkspaceId],
    now: DateTime<Utc>,
    version: i64,
) -> EffectiveRights {
    let sources: Vec<Source> = grants
        .iter()
        .filter(|grant| grant.expires_at.is_none_or(|end| now < end))
        .filter_map(|grant| Some(Source { grant: *grant, policy: policies.get(&grant.role)?.clone() }))
        .collect();
    let mut parents: HashMap<_, _> = tree.iter().copied().collect();
    for workspace in sources.iter().filter_map(Source::workspace).chain(private.iter().copied()) {
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
        private: HashSet::new(),
        scopes: PermissionSet::ALL,
        within: None,
    };
    rights.tenant = rights.weigh(On::Tenant).rights();
    if !rights.tenant.contains(Permission::WorkspacesUpdate) {
        rights.private = private.iter().copied().collect();
    }
    let is_granted = |workspace: WorkspaceId| {
        rights.line(workspace).any(|place| rights.sources.iter().any(|source| source.workspace() == Some(place)))
    };
    rights.granted = rights.parents.keys().copied().filter(|workspace| is_granted(*workspace)).collect();
    rights.granted.sort_unstable();
    rights.workspaces = (rights.parents.keys())
        .filter(|workspace| rights.granted.binary_search(workspace).is_ok() || rights.is_closed(**workspace))
        .map(|workspace| (*workspace, rights.weigh(On::Workspace(*workspace)).rights()))
        .collect();
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
        resolve(&[], &HashMap::new(), &[], &[], DateTime::<Utc>::MIN_UTC, 0)
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
            let given = match source.workspace() {
                None if self.stops_at(on) => continue,
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
                push(steps, Step::Granted { through: source.through(|says| says.allow.contains(by)), by });
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
                let mut granted_on: Vec<_> = self.sources.iter().filter_map(Source::workspace).collect();
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
                        let through = source.through(|says| says.deny.contains(one));
                        push(steps, Step::Denied { through, denied: one });
                    }
                }
                if !source.policy.allow.closure().contains(permission) {
                    continue;
                }
                let through = source.through(|says| says.allow.closure().contains(permission));
                match source.workspace() {
                    Some(_) if !PermissionSet::WORKSPACE.contains(permission) => {
                        push(steps, Step::TenantOnly { through });
                    }
                    None if self.stops_at(place) => push(steps, Step::Private { through }),
                    _ => {}
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
        let stops = self.stops_at(on);
        for source in self.applying(on) {
            weighed.denied = weighed.denied.union(source.policy.deny);
            let allowed = match source.workspace() {
                None if stops => continue,
                None => &mut weighed.by_tenant,
                Some(_) => &mut weighed.by_workspace,
            };
            *allowed = allowed.union(source.policy.allow);
        }
        weighed
    }

    /// The grants that apply to a place: the tenant-wide ones, and those on the workspace and its ancestors.
    fn applying(&self, on: On) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| match (source.workspace(), on) {
            (None, _) => true,
            (Some(granted), On::Workspace(asked)) => self.line(asked).any(|place| place == granted),
            (Some(_), _) => false,
        })
    }

    /// Whether what tenant-wide grants allow stops here.
    fn stops_at(&self, on: On) -> bool {
        matches!(on, On::Workspace(workspace) if self.is_closed(workspace))
    }

    /// Whether the workspace is private, or lies in a private one, and no tenant-wide grant opens it: what is held for the
    /// whole tenant stops there.
    pub fn is_closed(&self, workspace: WorkspaceId) -> bool {
        !self.private.is_empty() && self.line(workspace).any(|place| self.private.contains(&place))
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

mod stored {
    //! Rights as they are written down.

    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Serialize};

    use super::{EffectiveRights, PermissionSet, RoleGrant, RolePolicy, RoleSays, resolve};
    use crate::ids::WorkspaceId;

    /// What [`resolve`] was given. A permission that this release does not know makes the whole unreadable.
    #[derive(Serialize, Deserialize)]
    pub(super) struct Stored {
        version: i64,
        sources: Vec<(RoleGrant, Vec<RoleSays>)>,
        tree: Vec<(WorkspaceId, Option<WorkspaceId>)>,
        private: Vec<WorkspaceId>,
        scopes: Option<PermissionSet>,
        within: Option<Vec<WorkspaceId>>,
    }

    impl From<EffectiveRights> for Stored {
        fn from(rights: EffectiveRights) -> Self {
            let sources = rights.sources.iter().map(|source| (source.grant, source.policy.line().to_vec()));
            Self {
                version: rights.version,
                sources: sources.collect(),
                tree: rights.parents.into_iter().collect(),
                private: rights.private.into_iter().collect(),
                scopes: (rights.scopes != PermissionSet::ALL).then_some(rights.scopes),
                within: rights.within.map(|within| within.into_iter().collect()),
            }
        }
    }

    impl From<Stored> for EffectiveRights {
        fn from(stored: Stored) -> Self {
            let grants: Vec<_> = stored.sources.iter().map(|(grant, _)| *grant).collect();
            let policies = stored.sources.into_iter().map(|(grant, line)| (grant.role, RolePolicy::of(line))).collect();
            // Those that had ended were left out when it was resolved first.
            let then = DateTime::<Utc>::MIN_UTC;
            let rights = resolve(&grants, &policies, &stored.tree, &stored.private, then, stored.version);
            if stored.scopes.is_none() && stored.within.is_none() {
                return rights;
            }
            let within = stored.within.map(|within| within.into_iter().collect());
            rights.restricted_to(stored.scopes.unwrap_or(PermissionSet::ALL), within.as_ref())
        }
    }
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
