//! Why somebody holds a right somewhere, or lacks it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::store::{self, HeirRow, PlaceRow};
use crate::{
    access::{On, Permission, RoleGrant, Step, Through},
    context::{Asked, GrantHolder, Principal, RequestContext, Stopped, membership},
    domain::{
        Error, api_keys::loaders::ApiKeyById, members::loaders::MemberById, reading::ReadScope,
        service_accounts::loaders::ServiceAccountById, workspaces::loaders::WorkspaceById,
    },
    ids::{GroupId, MemberId, RoleGrantId, RoleId, WorkspaceId},
};

/// An answer with its chain of reasons.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Whether it is allowed: what a request of theirs would be told.
    pub is_allowed: bool,
    /// The right that was asked about.
    pub permission: Permission,
    /// Where; `None` is the tenant as a whole.
    pub workspace: Option<WorkspaceId>,
    /// What gives it, or everything that stands in the way.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Clone, Debug)]
pub struct Reason {
    /// What it is.
    pub kind: ReasonKind,
    /// What the role says literally, where it is about a role.
    pub says: Option<Permission>,
    /// The grant, where it is about one.
    pub grant: Option<GrantTold>,
}

/// What a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonKind {
    /// A grant gives it.
    Granted,
    /// A grant denies it.
    Denied,
    /// A grant on a workspace would give it, if it were not for the tenant to give.
    TenantOnly,
    /// A tenant-wide grant would give it, if the workspace were not private.
    Private,
    /// The key was not issued for it.
    OutsideScopes,
    /// The key does not reach the place.
    OutsideWorkspaces,
    /// Nothing gives it.
    NotGranted,
    /// The member is suspended, the service account disabled.
    Suspended,
    /// The key was revoked.
    KeyRevoked,
    /// The key has ended.
    KeyExpired,
}

/// A grant as a reason tells it.
#[derive(Clone, Debug)]
pub struct GrantTold {
    /// The grant.
    pub id: RoleGrantId,
    /// The group that holds it, if the principal does so through one.
    pub group: Option<(GroupId, String)>,
    /// From the role that was given to the one that says so, along the inheritance: id, key, name.
    pub roles: Vec<(RoleId, String, String)>,
    /// From the workspace where it was given down to the place, as far as the caller sees them; empty for the whole tenant.
    pub workspaces: Vec<(WorkspaceId, String)>,
    /// Whether it was given for the whole tenant.
    pub is_tenant_wide: bool,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// The member who gave it.
    pub granted_by: Option<MemberId>,
    /// Why.
    pub reason: Option<String>,
}

/// Explains whether somebody holds a permission there; `None` for a principal or a workspace that the caller does not see.
///
/// Four statements for the rights and at most four for the names in the chain.
///
/// # Errors
/// [`Error::Denied`] for a question about somebody else without `access:explain`; [`Error::Db`].
pub async fn explain(
    scope: &ReadScope,
    asked: Asked,
    permission: Permission,
    workspace: Option<WorkspaceId>,
) -> Result<Option<Explanation>, Error> {
    let ctx = scope.ctx();
    if !is_self(ctx, asked) {
        ctx.require(Permission::AccessExplain, On::Tenant)?;
        let is_seen = match asked {
            Asked::Member(id) => scope.load::<MemberById>(id).await?.is_some(),
            Asked::ServiceAccount(id) => scope.load::<ServiceAccountById>(id).await?.is_some(),
            Asked::ApiKey(id) => scope.load::<ApiKeyById>(id).await?.is_some(),
        };
        if !is_seen {
            return Ok(None);
        }
    }
    if let Some(workspace) = workspace
        && scope.load::<WorkspaceById>(workspace).await?.is_none()
    {
        return Ok(None);
    }
    let tx = scope.tx().await?;
    let Some(standing) = membership::standing(tx, asked, ctx.now()).await? else { return Ok(None) };
    let decision = standing.membership.rights.decide(permission, workspace.map_or(On::Tenant, On::Workspace));
    let through = |step: &Step| match step {
        Step::Granted { through, .. }
        | Step::Denied { through, .. }
        | Step::TenantOnly { through }
        | Step::Private { through } => Some(*through),
        Step::OutsideScopes | Step::OutsideWorkspaces | Step::NotGranted => None,
    };
    let grants: Vec<RoleGrant> = decision.steps.iter().filter_map(through).map(|through| through.grant).collect();
    let names = Names::load(scope, &grants, workspace).await?;
    let stopped = standing.stopped.map(|stopped| Reason {
        kind: match stopped {
            Stopped::Suspended => ReasonKind::Suspended,
            Stopped::KeyRevoked => ReasonKind::KeyRevoked,
            Stopped::KeyExpired => ReasonKind::KeyExpired,
        },
        says: None,
        grant: None,
    });
    let steps = decision.steps.iter().map(|step| {
        let (kind, says) = match step {
            Step::Granted { by, .. } => (ReasonKind::Granted, Some(*by)),
            Step::Denied { denied, .. } => (ReasonKind::Denied, Some(*denied)),
            Step::TenantOnly { .. } => (ReasonKind::TenantOnly, None),
            Step::Private { .. } => (ReasonKind::Private, None),
            Step::OutsideScopes => (ReasonKind::OutsideScopes, None),
            Step::OutsideWorkspaces => (ReasonKind::OutsideWorkspaces, None),
            Step::NotGranted => (ReasonKind::NotGranted, None),
        };
        Reason { kind, says, grant: through(step).map(|through| names.tell(&through)) }
    });
    Ok(Some(Explanation {
        is_allowed: decision.allowed && standing.stopped.is_none(),
        permission,
        workspace,
        reasons: stopped.into_iter().chain(steps).collect(),
    }))
}

/// Whether somebody asks about themselves: as a person, as a service account by one of its keys, or as a key.
fn is_self(ctx: &RequestContext, asked: Asked) -> bool {
    match (&ctx.principal, ctx.membership.as_ref().map(|membership| membership.holder), asked) {
        (Principal::Person { .. }, Some(holder), Asked::Member(id)) => holder == GrantHolder::Member(id),
        (Principal::ApiKey { key, .. }, _, Asked::ApiKey(id)) => *key == id,
        _ => false,
    }
}

/// What the ids in a chain are called.
struct Names {
    lines: HashMap<RoleId, Vec<HeirRow>>,
    upwards: Vec<PlaceRow>,
    givers: HashMap<RoleGrantId, (Option<MemberId>, Option<String>)>,
    groups: HashMap<GroupId, String>,
}

impl Names {
    /// At most four statements, in one flight.
    async fn load(scope: &ReadScope, grants: &[RoleGrant], place: Option<WorkspaceId>) -> Result<Self, Error> {
        let tx = scope.tx().await?;
        let roles = grants.iter().map(|grant| grant.role).collect();
        let groups = grants.iter().filter_map(|grant| grant.group).collect();
        let upwards = async {
            match place {
                Some(place) => store::upwards(tx, place).await,
                None => Ok(Vec::new()),
            }
        };
        let (rows, upwards, givers, groups) = futures::try_join!(
            store::lines(tx, roles),
            upwards,
            store::givers(tx, grants.iter().map(|grant| grant.id).collect()),
            store::group_names(tx, groups),
        )?;
        let mut lines: HashMap<RoleId, Vec<HeirRow>> = HashMap::new();
        for row in rows {
            lines.entry(row.root).or_default().push(row);
        }
        let ctx = scope.ctx();
        let upwards = upwards.into_iter().filter(|row| ctx.can(Permission::WorkspacesRead, On::Workspace(row.id)));
        Ok(Self {
            lines,
            upwards: upwards.collect(),
            givers: givers.into_iter().map(|(id, giver, reason)| (id, (giver, reason))).collect(),
            groups: groups.into_iter().collect(),
        })
    }

    fn tell(&self, through: &Through) -> GrantTold {
        let grant = through.grant;
        let line = self.lines.get(&grant.role).map(Vec::as_slice).unwrap_or_default();
        let said = line.iter().position(|row| row.role_id == through.says).map_or(line.len(), |at| at + 1);
        let roles = line[..said].iter().map(|row| (row.role_id, row.key.clone(), row.name.clone()));
        let given = self.upwards.iter().position(|row| Some(row.id) == grant.workspace).map_or(0, |at| at + 1);
        let (granted_by, reason) = self.givers.get(&grant.id).cloned().unwrap_or_default();
        GrantTold {
            id: grant.id,
            group: grant.group.map(|group| (group, self.groups.get(&group).cloned().unwrap_or_default())),
            roles: roles.collect(),
            workspaces: self.upwards[..given].iter().rev().map(|row| (row.id, row.slug.clone())).collect(),
            is_tenant_wide: grant.workspace.is_none(),
            expires_at: grant.expires_at,
            granted_by,
            reason,
        }
    }
}
