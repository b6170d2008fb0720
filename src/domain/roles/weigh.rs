//! Every change of rights is weighed here against the rights of whoever makes it ([`access::escalation`]).
//!
//! [`access::escalation`]: crate::access::escalation

use std::collections::{HashMap, HashSet};

use super::store;
use crate::{
    access::{
        PermissionSet,
        escalation::{self, Place, Says},
    },
    context,
    db::{DbError, WriteTx},
    domain::{Error, Problem, mutation::Work},
    graphql::codes::UserErrorCode,
    ids::{RoleId, WorkspaceId},
};

/// Adds up what somebody might gain by a change and the caller does not hold there.
pub struct Weigh<'w, 't> {
    work: &'w Work<'t>,
    below: HashMap<WorkspaceId, HashSet<WorkspaceId>>,
    missing: PermissionSet,
}

impl<'w, 't> Weigh<'w, 't> {
    /// For the changes of one mutation.
    pub fn new(work: &'w Work<'t>) -> Self {
        Self { work, below: HashMap::new(), missing: PermissionSet::EMPTY }
    }

    /// A role that said `before` says `after`, on this workspace with all below it, or in the whole tenant. One statement
    /// for each workspace.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn add(&mut self, before: Says, after: Says, workspace: Option<WorkspaceId>) -> Result<(), DbError> {
        // Operators hold everything.
        let Some(membership) = self.work.membership() else { return Ok(()) };
        let missing = match workspace {
            None => escalation::missing(&membership.rights, before, after, Place::Tenant),
            Some(workspace) => {
                if !self.below.contains_key(&workspace) {
                    let mut below = context::subtree(self.work.tx, workspace).await?;
                    below.insert(workspace);
                    self.below.insert(workspace, below);
                }
                escalation::missing(&membership.rights, before, after, Place::Workspaces(&self.below[&workspace]))
            }
        };
        self.missing = self.missing.union(missing);
        Ok(())
    }

    /// Refuses if somebody might gain what the caller does not hold.
    ///
    /// # Errors
    /// `PERMISSION_ESCALATION` at `path` with what is missing.
    pub fn refuse(self, path: &str) -> Result<(), Error> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let message = "Somebody would gain rights that you do not hold yourself everywhere this reaches.";
        Err(Problem::new(UserErrorCode::PermissionEscalation, path, message)
            .params(serde_json::json!({ "missing": self.missing }))
            .into())
    }
}

/// What a role says with all that it inherits. One statement.
///
/// # Errors
/// [`DbError`].
pub async fn policy_of(tx: &WriteTx, role: RoleId) -> Result<Says, DbError> {
    Ok(store::policies(tx, vec![role]).await?.remove(&role).unwrap_or(Says::NOTHING))
}
