//! The use cases of grants: who holds which role, where, until when and why.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    custom::is_owner,
    loaders::GrantById,
    store::{
        self,
        grants::{self as rows, GrantSight, NewGrant, Slice},
    },
    types::{Grant, GrantDraft, GrantFind, GrantPrincipal, Role, reason_of, reason_problem},
    weigh::{Weigh, policy_of},
};
use crate::{
    access::{On, Permission, Reach, escalation::Says},
    context::{Principal, RequestContext},
    db::DbError,
    domain::{
        Error, Problem, Services,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        groups, members,
        mutation::{self, Work, Written},
        ownership,
        reading::ReadScope,
        service_accounts,
        tasks::service::{nothing_returned, reject},
        workspaces,
    },
    graphql::{
        codes::UserErrorCode,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
    },
    ids::{GroupId, Id, MemberId, RoleGrantId, RoleId, WorkspaceId},
};

/// Which grants a request sees: with `roles:read` those of the whole tenant and of every workspace that it sees, with
/// `roles:grant` those of the places where it holds that.
pub(crate) fn sight(ctx: &RequestContext) -> GrantSight {
    let reads_roles = ctx.can(Permission::RolesRead, On::Tenant);
    let workspaces = if reads_roles { Permission::WorkspacesRead } else { Permission::RolesGrant };
    GrantSight {
        tenant_wide: reads_roles || ctx.can(Permission::RolesGrant, On::Tenant),
        workspaces: ctx.reach(workspaces),
    }
}

/// The same for a mutation, by the rights it has read itself.
fn sight_of_work(work: &Work<'_>) -> GrantSight {
    let Some(membership) = work.membership() else {
        return GrantSight { tenant_wide: true, workspaces: Reach::All };
    };
    let reads_roles = work.can(Permission::RolesRead, On::Tenant);
    let workspaces = if reads_roles { Permission::WorkspacesRead } else { Permission::RolesGrant };
    GrantSight {
        tenant_wide: reads_roles || work.can(Permission::RolesGrant, On::Tenant),
        workspaces: membership.rights.workspaces_with(workspaces),
    }
}

/// The grant with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: RoleGrantId) -> Result<Option<Grant>, Error> {
    scope.load::<GrantById>(id).await
}

/// A page of the grants that the caller sees, newest first. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn list(
    services: &Services,
    scope: &Arc<ReadScope>,
    find: GrantFind,
    page: PageRequest,
) -> Result<Page<Grant>, Error> {
    let ctx = scope.ctx();
    let (sight, now) = (sight(ctx), ctx.now());
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), "Query.roleGrants", &find, "created_at-");
    let after = page.cursor.as_deref().map(|cursor| cursors.open::<DateTime<Utc>>(cursor)).transpose()?;
    let slice = Slice {
        descending: page.direction == Direction::Forward,
        after: after.map(|cursor| (cursor.values, cursor.id())),
        limit: page.fetch(),
    };
    let found = rows::page(scope.tx().await?, &find, &sight, now, slice).await?;
    let page = Page::of_rows(found, &page, move |grant: &Grant| cursors.seal(&grant.created_at, grant.id.uuid()));
    let scope = Arc::clone(scope);
    Ok(page.counted(move || {
        let (find, sight, scope) = (find.clone(), sight.clone(), Arc::clone(&scope));
        async move { count(&scope, &find, &sight, now).await.map_err(Error::into_api) }
    }))
}

async fn count(
    scope: &ReadScope,
    find: &GrantFind,
    sight: &GrantSight,
    now: DateTime<Utc>,
) -> Result<Option<i64>, Error> {
    Ok(Some(rows::count(scope.tx().await?, find, sight, now, MAX_COUNTED).await?))
}

/// Gives a role to a member, a group or a service account, in the whole tenant or on a workspace with all below it.
///
/// # Errors
/// `NOT_FOUND` for a principal, role or workspace that the caller does not see, `TAKEN` if it is given there already,
/// `OUT_OF_RANGE` for an end that is not in the future, `PERMISSION_ESCALATION` for what the caller does not hold there;
/// [`Error::Denied`] without `roles:grant` there.
pub async fn create(services: &Services, ctx: &RequestContext, draft: GrantDraft) -> Result<Written<Grant>, Error> {
    mutation::run(services, ctx, Action::RoleGrantCreate, async |work| {
        if let Some(workspace) = draft.workspace {
            workspaces::service::open_for_writing(work, workspace, "input.workspaceId").await?;
        }
        work.require(Permission::RolesGrant, place(draft.workspace))?;
        refuse_unseen(work, draft.principal).await?;
        // Whoever gives roles names any of the tenant's; what a role says is no secret to them.
        let role = store::find_many(work.tx, &[draft.role]).await?.into_iter().next();
        let role = role.ok_or_else(|| Problem::not_found("input.roleId", "role"))?;
        let mut problems: Vec<_> = reason_problem(draft.reason.as_deref()).into_iter().collect();
        problems.extend(end_problem(draft.expires_at, work.now()));
        reject(problems)?;
        let says = policy_of(work.tx, role.id).await?;
        if is_owner(&role) {
            refuse_unlike_an_owner(Some(draft.principal), draft.workspace, draft.expires_at)?;
            refuse_unless_owner(work, "input.roleId").await?;
        } else if !says.deny.is_empty() {
            match draft.principal {
                GrantPrincipal::Member(id) => refuse_to_bind_owners(work, &[id], "input.principal.memberId").await?,
                GrantPrincipal::Group(id) => {
                    let inside = rows::members_of_group(work.tx, id).await?;
                    refuse_to_bind_owners(work, &inside, "input.principal.groupId").await?;
                }
                GrantPrincipal::ServiceAccount(_) => {}
            }
        }
        let mut weigh = Weigh::new(work);
        weigh.add(Says::NOTHING, says, draft.workspace).await?;
        weigh.refuse("input.roleId")?;
        let new = NewGrant {
            id: RoleGrantId::new(work.now()),
            member_id: draft.principal.member(),
            group_id: draft.principal.group(),
            service_account_id: draft.principal.service_account(),
            role_id: role.id,
            workspace_id: draft.workspace,
            expires_at: draft.expires_at,
            granted_by_member_id: giver(work),
            reason: reason_of(draft.reason),
            created_at: work.now(),
            updated_at: work.now(),
        };
        let grant = rows::insert(work.tx, new).await.map_err(refused)?.ok_or_else(nothing_returned)?;
        about(work, &grant, "role_grant.created");
        changed(work, &grant, (Says::NOTHING, says), grant.reason.clone());
        Ok(grant)
    })
    .await
}

/// Changes when a grant ends, and why it is there. A longer one is weighed as if it were given, a shorter one as if it were
/// taken.
///
/// # Errors
/// `NOT_FOUND`, `INVALID` for an end of an owner's role; as [`create`].
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: RoleGrantId,
    expires_at: Option<Option<DateTime<Utc>>>,
    reason: Option<Option<String>>,
) -> Result<Written<Grant>, Error> {
    mutation::run(services, ctx, Action::RoleGrantUpdate, async |work| {
        let (grant, role) = for_writing(work, id).await?;
        let mut problems: Vec<_> = reason_problem(reason.as_ref().and_then(|why| why.as_deref())).into_iter().collect();
        problems.extend(expires_at.and_then(|end| end_problem(end, work.now())));
        reject(problems)?;
        let (old, new) = (grant.expires_at, expires_at.unwrap_or(grant.expires_at));
        if is_owner(&role) {
            refuse_unlike_an_owner(grant.principal(), grant.workspace_id, new)?;
            refuse_unless_owner(work, "input.id").await?;
        }
        let says = policy_of(work.tx, role.id).await?;
        let was_active = old.is_none_or(|end| work.now() < end);
        let (before, after) = match (old, new) {
            (old, new) if old == new => (says, says),
            _ if !was_active => (Says::NOTHING, says),
            (Some(_), None) => (Says::NOTHING, says),
            (Some(old), Some(new)) if old < new => (Says::NOTHING, says),
            _ => (says, Says::NOTHING),
        };
        let mut weigh = Weigh::new(work);
        weigh.add(before, after, grant.workspace_id).await?;
        weigh.refuse("input.expiresAt")?;
        let why = reason.map_or_else(|| grant.reason.clone(), reason_of);
        let grant = rows::update(work.tx, id, new, why, work.now()).await?.ok_or_else(nothing_returned)?;
        work.detail("expiresAtBefore", old);
        about(work, &grant, "role_grant.updated");
        changed(work, &grant, (before, after), grant.reason.clone());
        Ok(grant)
    })
    .await
}

/// Takes a role away. One's own may be taken, too, except the last owner's.
///
/// # Errors
/// `NOT_FOUND`, `LAST_OWNER`; `PERMISSION_ESCALATION` if the role denies something that the caller does not hold there;
/// [`Error::Denied`] without `roles:grant` there.
pub async fn delete(
    services: &Services,
    ctx: &RequestContext,
    id: RoleGrantId,
    reason: Option<String>,
) -> Result<Written<Grant>, Error> {
    mutation::run(services, ctx, Action::RoleGrantDelete, async |work| {
        let (grant, role) = for_writing(work, id).await?;
        reject(reason_problem(reason.as_deref()).into_iter().collect())?;
        if is_owner(&role) {
            refuse_unless_owner(work, "input.id").await?;
        }
        let says = match grant.is_active(work.now()) {
            true => policy_of(work.tx, role.id).await?,
            false => Says::NOTHING,
        };
        let mut weigh = Weigh::new(work);
        weigh.add(says, Says::NOTHING, grant.workspace_id).await?;
        weigh.refuse("input.id")?;
        rows::delete(work.tx, id).await.map_err(refused)?;
        if let Some(member) = grant.member_id.filter(|_| is_owner(&role)) {
            ownership::service::end_offers_of(work, member).await?;
        }
        about(work, &grant, "role_grant.deleted");
        changed(work, &grant, (says, Says::NOTHING), reason_of(reason));
        Ok(grant)
    })
    .await
}

/// What somebody holds, with what it says.
#[derive(Clone, Copy, Debug)]
pub struct Holding {
    /// The role.
    pub role: RoleId,
    /// Where; `None` is the whole tenant.
    pub workspace: Option<WorkspaceId>,
    /// What the role says with all that it inherits.
    pub says: Says,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a group holds now. Two statements.
///
/// # Errors
/// [`DbError`].
pub async fn of_group(work: &Work<'_>, group: GroupId) -> Result<Vec<Holding>, DbError> {
    let held = rows::of_group(work.tx, group, work.now()).await?;
    holdings(work, held).await
}

/// What a member holds now without groups: everywhere, or on this very workspace. Two statements.
///
/// # Errors
/// [`DbError`].
pub async fn of_member(
    work: &Work<'_>,
    member: MemberId,
    workspace: Option<WorkspaceId>,
) -> Result<Vec<Holding>, DbError> {
    let held = rows::of_member(work.tx, member, workspace, work.now()).await?;
    holdings(work, held).await
}

/// Refuses to take these from somebody who stays, where one of them denies something that the caller does not hold there.
///
/// # Errors
/// `PERMISSION_ESCALATION` at `path`.
pub async fn refuse_taking(work: &Work<'_>, held: &[Holding], path: &str) -> Result<(), Error> {
    let mut weigh = Weigh::new(work);
    for holding in held {
        weigh.add(holding.says, Says::NOTHING, holding.workspace).await?;
    }
    weigh.refuse(path)
}

/// Notes for the permission audit that a member has these no more.
pub fn note_taken(work: &Work<'_>, member: MemberId, held: &[Holding], reason: Option<&str>) {
    for holding in held {
        let change = AccessChange {
            role: Some(holding.role),
            workspace: holding.workspace,
            reason: reason.map(str::to_owned),
            ..AccessChange::of(SubjectKind::Member, member)
        };
        work.access_changed(change.from_to(holding.says, Says::NOTHING));
    }
}

async fn holdings(work: &Work<'_>, held: Vec<Grant>) -> Result<Vec<Holding>, DbError> {
    let policies = store::policies(work.tx, held.iter().map(|grant| grant.role_id).collect()).await?;
    let holding = |grant: &Grant| Holding {
        role: grant.role_id,
        workspace: grant.workspace_id,
        says: policies.get(&grant.role_id).copied().unwrap_or_default(),
        expires_at: grant.expires_at,
    };
    Ok(held.iter().map(holding).collect())
}

/// Deletes every grant of a group, those that have ended included. One statement.
///
/// # Errors
/// [`DbError`].
pub async fn delete_of_group(work: &Work<'_>, group: GroupId) -> Result<(), DbError> {
    rows::delete_of_group(work.tx, group).await
}

/// Deletes every grant of a service account and says how many there were. One statement.
///
/// # Errors
/// [`DbError`].
pub async fn delete_of_service_account(
    work: &Work<'_>,
    account: crate::ids::ServiceAccountId,
) -> Result<usize, DbError> {
    rows::delete_of_service_account(work.tx, account).await
}

/// Refuses to move a workspace where somebody would gain by it what the caller does not hold in it: grants on its new
/// ancestors reach it from then on, denials on its old ones no longer do, and out of a private workspace it is open to what
/// is held in the whole tenant. At most six statements.
///
/// # Errors
/// `PERMISSION_ESCALATION` at `input.parentId`.
pub async fn refuse_move(work: &Work<'_>, workspace: WorkspaceId, parent: Option<WorkspaceId>) -> Result<(), Error> {
    let old: Vec<_> = rows::line(work.tx, workspace).await?.into_iter().filter(|row| row.id != workspace).collect();
    let new = match parent {
        Some(parent) => rows::line(work.tx, parent).await?,
        None => Vec::new(),
    };
    let without = |these: &[rows::Ancestor], others: &[rows::Ancestor]| -> Vec<WorkspaceId> {
        these.iter().map(|row| row.id).filter(|id| others.iter().all(|other| other.id != *id)).collect()
    };
    let mut weigh = Weigh::new(work);
    for (places, joins) in [(without(&new, &old), true), (without(&old, &new), false)] {
        if places.is_empty() {
            continue;
        }
        let roles = rows::roles_on(work.tx, places, work.now()).await?;
        for says in store::policies(work.tx, roles).await?.into_values() {
            let (before, after) = if joins { (Says::NOTHING, says) } else { (says, Says::NOTHING) };
            weigh.add(before, after, Some(workspace)).await?;
        }
    }
    let is_private = |line: &[rows::Ancestor]| line.iter().any(|row| row.is_private);
    if is_private(&old) && !is_private(&new) {
        weigh_opening(work, &mut weigh, workspace).await?;
    }
    weigh.refuse("input.parentId")
}

/// Refuses to open a private workspace to the tenant where somebody would gain by it what the caller does not hold in it.
/// Three statements.
///
/// # Errors
/// `PERMISSION_ESCALATION` at `input.visibility`.
pub async fn refuse_opening(work: &Work<'_>, workspace: WorkspaceId) -> Result<(), Error> {
    let mut weigh = Weigh::new(work);
    weigh_opening(work, &mut weigh, workspace).await?;
    weigh.refuse("input.visibility")
}

async fn weigh_opening(work: &Work<'_>, weigh: &mut Weigh<'_, '_>, workspace: WorkspaceId) -> Result<(), DbError> {
    let roles = rows::roles_of_tenant(work.tx, work.now()).await?;
    for says in store::policies(work.tx, roles).await?.into_values() {
        // Who manages all workspaces has been in the private ones before.
        if !says.gives().contains(Permission::WorkspacesUpdate) {
            weigh.add(Says::NOTHING, says, Some(workspace)).await?;
        }
    }
    Ok(())
}

/// Refuses to lay a denial on an owner, unless an owner does it: an administrator must not lock the owners out.
///
/// # Errors
/// `PERMISSION_ESCALATION` at `path`.
pub async fn refuse_to_bind_owners(work: &Work<'_>, bound: &[MemberId], path: &str) -> Result<(), Error> {
    if is_caller_owner(work).await? || members::service::owners_among(work.tx, bound).await?.is_empty() {
        return Ok(());
    }
    let message = "Only an owner gives an owner a role that denies something.";
    Err(Problem::new(UserErrorCode::PermissionEscalation, path, message).into())
}

/// Refuses unless the caller is an owner in person: no API key makes or unmakes owners.
async fn refuse_unless_owner(work: &Work<'_>, path: &str) -> Result<(), Error> {
    if is_caller_owner(work).await? {
        return Ok(());
    }
    let message = "Only an owner makes or unmakes an owner, in person.";
    Err(Problem::new(UserErrorCode::PermissionEscalation, path, message).into())
}

async fn is_caller_owner(work: &Work<'_>) -> Result<bool, DbError> {
    match (&work.ctx.principal, work.membership().and_then(|membership| membership.holder.member())) {
        (Principal::Operator { .. }, _) => Ok(true),
        (Principal::Person { .. }, Some(member)) => {
            Ok(!members::service::owners_among(work.tx, &[member]).await?.is_empty())
        }
        _ => Ok(false),
    }
}

fn refuse_unlike_an_owner(
    principal: Option<GrantPrincipal>,
    workspace: Option<WorkspaceId>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), Problem> {
    let invalid = |path, message| Err(Problem::new(UserErrorCode::Invalid, path, message));
    match (principal, workspace, expires_at) {
        (Some(GrantPrincipal::Group(_) | GrantPrincipal::ServiceAccount(_)), ..) => {
            invalid("input.principal", "Only members own a tenant.")
        }
        (_, Some(_), _) => invalid("input.workspaceId", "Owners own the whole tenant."),
        (.., Some(_)) => invalid("input.expiresAt", "An owner is one without an end."),
        _ => Ok(()),
    }
}

/// Refuses a principal that the caller does not see.
async fn refuse_unseen(work: &Work<'_>, principal: GrantPrincipal) -> Result<(), Error> {
    let (is_seen, path, what) = match principal {
        GrantPrincipal::Member(id) => {
            let seen = members::service::seen_by_work(work, &[id]).await?;
            (seen.contains(&id), "input.principal.memberId", "member")
        }
        GrantPrincipal::Group(id) => {
            let seen = groups::service::seen_by_work(work, id).await?;
            (seen.is_some(), "input.principal.groupId", "group")
        }
        GrantPrincipal::ServiceAccount(id) => {
            let seen = service_accounts::service::seen_by_work(work, id).await?;
            (seen.is_some(), "input.principal.serviceAccountId", "service account")
        }
    };
    if is_seen { Ok(()) } else { Err(Problem::not_found(path, what).into()) }
}

/// The grant, locked, with its role, if the caller sees it and holds `roles:grant` there.
async fn for_writing(work: &Work<'_>, id: RoleGrantId) -> Result<(Grant, Role), Error> {
    let sight = sight_of_work(work);
    let grant = rows::lock(work.tx, id).await?.filter(|grant| sight.shows(grant.workspace_id));
    let grant = grant.ok_or_else(|| Problem::not_found("input.id", "grant"))?;
    work.require(Permission::RolesGrant, place(grant.workspace_id))?;
    let role = store::find_many(work.tx, &[grant.role_id]).await?.into_iter().next();
    let role = role.ok_or_else(|| Error::Broken(format!("{} is granted and not there", grant.role_id)))?;
    Ok((grant, role))
}

fn place(workspace: Option<WorkspaceId>) -> On {
    workspace.map_or(On::Tenant, On::Workspace)
}

/// The member who gives; an API key gives for the member who owns it.
fn giver(work: &Work<'_>) -> Option<MemberId> {
    work.membership().and_then(|membership| membership.holder.member())
}

fn end_problem(end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Problem> {
    let end = end.filter(|end| *end <= now)?;
    let message = format!("A grant ends in the future, and {end} is past.");
    Some(Problem::new(UserErrorCode::OutOfRange, "input.expiresAt", message).params(serde_json::json!({ "min": now })))
}

/// What the database's own rules say, as the problem of an input.
fn refused(error: DbError) -> Error {
    let problem = match &error {
        DbError::Unique(name) if name == "role_grants_once" => {
            Problem::new(UserErrorCode::Taken, "input", "The role is given there already; change that grant instead.")
        }
        DbError::Check(name) if name == "tenant_counters_owners" => {
            Problem::new(UserErrorCode::LastOwner, "input.id", "A tenant always keeps at least one owner.")
        }
        _ => return error.into(),
    };
    problem.into()
}

fn changed(work: &Work<'_>, grant: &Grant, (before, after): (Says, Says), reason: Option<String>) {
    let subject = match grant.principal() {
        Some(GrantPrincipal::Member(id)) => AccessChange::of(SubjectKind::Member, id),
        Some(GrantPrincipal::Group(id)) => AccessChange::of(SubjectKind::Group, id),
        Some(GrantPrincipal::ServiceAccount(id)) => AccessChange::of(SubjectKind::ServiceAccount, id),
        None => return,
    };
    let change = AccessChange {
        role: Some(grant.role_id),
        workspace: grant.workspace_id,
        expires_at: grant.expires_at,
        reason,
        ..subject
    };
    work.access_changed(change.from_to(before, after));
}

fn about(work: &Work<'_>, grant: &Grant, event: &'static str) {
    work.target(match grant.workspace_id {
        Some(workspace) => Target::in_workspace("role_grant", grant.id, workspace),
        None => Target::new("role_grant", grant.id),
    });
    work.detail("roleId", grant.role_id);
    work.event(Event {
        kind: event,
        workspace: grant.workspace_id,
        subject: grant.id.uuid(),
        payload: serde_json::json!({
            "roleGrantId": grant.id, "roleId": grant.role_id, "memberId": grant.member_id, "groupId": grant.group_id,
            "serviceAccountId": grant.service_account_id, "workspaceId": grant.workspace_id,
        }),
    });
}
