//! Who sees which workspace: one rule, asked of a row here and written as a filter in `store`.
//!
//! A workspace needs `workspaces:read` there. A private one needs more: a grant that was given on it or on an ancestor,
//! or `workspaces:update` for the whole tenant. An API key sees of what its owner sees the part it was issued for.
//!
//! Ada is `member` of acme and `workspace_viewer` on the private *atlas*: she sees every open workspace, *atlas* and what
//! is below it. Bo, `member` only, sees the open ones. Cy, `guest` on *borealis*, sees *borealis* and nothing else. Dee, an
//! `admin`, sees all of them.

use super::types::{Visibility, Workspace};
use crate::{
    access::{EffectiveRights, Permission, Reach},
    context::{Principal, RequestContext},
    domain::mutation::Work,
    ids::WorkspaceId,
};

/// The workspaces that somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Where `workspaces:read` is held.
    pub(super) reach: Reach,
    /// The private ones among them that are open to the principal, in order; `None` means all.
    pub(super) private: Option<Vec<WorkspaceId>>,
}

impl Sight {
    /// What somebody with these rights sees; without rights, nothing.
    pub fn of(rights: Option<&EffectiveRights>) -> Self {
        let Some(rights) = rights else { return Self { reach: Reach::None, private: Some(Vec::new()) } };
        let manages = rights.person_holds(Permission::WorkspacesUpdate);
        Self {
            reach: rights.workspaces_with(Permission::WorkspacesRead),
            private: (!manages).then(|| rights.granted_workspaces().to_vec()),
        }
    }

    /// What an operator sees.
    pub fn everything() -> Self {
        Self { reach: Reach::All, private: None }
    }

    /// What the request sees.
    pub fn of_request(ctx: &RequestContext) -> Self {
        match &ctx.principal {
            Principal::Operator { .. } => Self::everything(),
            _ => Self::of(ctx.membership.as_ref().map(|membership| &membership.rights)),
        }
    }

    /// What a mutation sees, by the rights it has read itself.
    pub fn of_work(work: &Work<'_>) -> Self {
        match &work.ctx.principal {
            Principal::Operator { .. } => Self::everything(),
            _ => Self::of(work.membership().map(|membership| &membership.rights)),
        }
    }

    /// Whether it shows this workspace.
    pub fn shows(&self, workspace: &Workspace) -> bool {
        self.reach.contains(workspace.id)
            && (workspace.visibility == Visibility::Tenant || self.enters_private(workspace.id))
    }

    /// Whether a private workspace with this id, or one below it, is open.
    pub fn enters_private(&self, workspace: WorkspaceId) -> bool {
        self.private.as_ref().is_none_or(|granted| granted.binary_search(&workspace).is_ok())
    }
}

#[cfg(test)]
#[path = "sight_tests.rs"]
mod tests;
