//! Changes of members: suspend, reactivate, remove, leave, rename.

use super::{
    service::{find_in_work, own_member, owners_among},
    store,
    types::{Gone, MAX_NAME_CHARS, Member, MemberStatus},
};
use crate::{
    access::{On, Permission},
    context::{Principal, RequestContext},
    db::DbError,
    domain::{
        Error, Problem, Services, api_keys,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        mutation::{self, Work, Written},
        ownership, projects, roles, tasks,
        tasks::service::nothing_returned,
        text,
    },
    graphql::{
        codes::{ErrorCode, UserErrorCode},
        error::ApiError,
    },
    ids::{Id, MemberId},
};

/// Why a key was revoked whose owner is no member any more.
const OWNER_IS_GONE: &str = "its owner is no longer a member";

/// Shuts a member out: from the next request on nothing is open to them, and their API keys rest. The seat is free.
///
/// # Errors
/// `NOT_FOUND`, `SELF_ACTION_FORBIDDEN`, `STALE_VERSION`, `INVALID_STATE` if suspended already, `LAST_OWNER`;
/// [`Error::Denied`] without `members:suspend`; `FORBIDDEN` for an owner, unless asked by an owner.
pub async fn suspend(
    services: &Services,
    ctx: &RequestContext,
    id: MemberId,
    version: Option<i32>,
) -> Result<Written<Member>, Error> {
    mutation::run(services, ctx, Action::MemberSuspend, async |work| {
        let member = for_writing(work, id, version, Permission::MembersSuspend).await?;
        refuse_oneself(work, &member)?;
        refuse_if_only_owners_may(work, &member).await?;
        if member.status != MemberStatus::Active {
            return Err(invalid_state("The member is suspended already."));
        }
        ownership::service::end_offers_of(work, id).await?;
        let member = stand(work, &member, MemberStatus::Suspended).await?;
        about(work, id, "member.suspended");
        work.access_changed(AccessChange::of(SubjectKind::Member, id));
        Ok(member)
    })
    .await
}

/// Lets a suspended member in again, with the roles they had.
///
/// # Errors
/// As [`suspend`]; `INVALID_STATE` if not suspended, `SEAT_LIMIT_REACHED`.
pub async fn reactivate(
    services: &Services,
    ctx: &RequestContext,
    id: MemberId,
    version: Option<i32>,
) -> Result<Written<Member>, Error> {
    mutation::run(services, ctx, Action::MemberReactivate, async |work| {
        let member = for_writing(work, id, version, Permission::MembersSuspend).await?;
        refuse_if_only_owners_may(work, &member).await?;
        if member.status != MemberStatus::Suspended {
            return Err(invalid_state("The member is not suspended."));
        }
        let member = stand(work, &member, MemberStatus::Active).await?;
        about(work, id, "member.reactivated");
        work.access_changed(AccessChange::of(SubjectKind::Member, id));
        Ok(member)
    })
    .await
}

/// Removes a member with everything that stood on the membership.
///
/// # Errors
/// As [`suspend`]; [`Error::Denied`] without `members:remove` in the whole tenant.
pub async fn remove(
    services: &Services,
    ctx: &RequestContext,
    id: MemberId,
    version: Option<i32>,
) -> Result<Written<Gone>, Error> {
    mutation::run(services, ctx, Action::MemberRemove, async |work| {
        let member = for_writing(work, id, version, Permission::MembersRemove).await?;
        refuse_oneself(work, &member)?;
        refuse_if_only_owners_may(work, &member).await?;
        end(work, &member, "member.removed").await
    })
    .await
}

/// Ends the caller's own membership.
///
/// # Errors
/// `LAST_OWNER`; `FORBIDDEN` for an API key, which is nobody's membership.
pub async fn leave(services: &Services, ctx: &RequestContext) -> Result<Written<Gone>, Error> {
    mutation::run(services, ctx, Action::MemberLeave, async |work| {
        let own = own_member(work.ctx).ok_or_else(|| only_people("leaves a tenant"))?;
        let member = store::lock(work.tx, own).await?.ok_or_else(nothing_returned)?;
        end(work, &member, "member.left").await
    })
    .await
}

/// Changes the name that a member goes by here; `None` goes back to the person's own.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`, what is wrong with the name; [`Error::Denied`] without `members:write` for anybody but
/// oneself.
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: MemberId,
    version: Option<i32>,
    name: Option<Option<String>>,
) -> Result<Written<Member>, Error> {
    mutation::run(services, ctx, Action::MemberUpdate, async |work| {
        let is_oneself = own_member(work.ctx) == Some(id);
        if !is_oneself {
            work.require(Permission::MembersWrite, On::Anywhere)?;
        }
        let member = seen(work, id).await?;
        if !is_oneself {
            work.require(Permission::MembersWrite, On::Tenant)?;
        }
        refuse_stale(&member, version)?;
        let Some(name) = name else { return Ok(member) };
        let path = "input.displayName";
        if let Some(problem) = name.as_deref().and_then(|name| text::line(name, path, "A name", MAX_NAME_CHARS)) {
            return Err(problem.into());
        }
        let name = name.map(|name| name.trim().to_owned());
        let member = store::set_name(work.tx, &member, name, work.now()).await?.ok_or_else(nothing_returned)?;
        work.detail("changed", ["displayName"]);
        about(work, id, "member.updated");
        Ok(member)
    })
    .await
}

/// The member, locked, if the caller sees it, holds the permission in the whole tenant and knows its version.
async fn for_writing(
    work: &Work<'_>,
    id: MemberId,
    version: Option<i32>,
    permission: Permission,
) -> Result<Member, Error> {
    let member = seen(work, id).await?;
    work.require(permission, On::Tenant)?;
    refuse_stale(&member, version)?;
    Ok(member)
}

async fn seen(work: &Work<'_>, id: MemberId) -> Result<Member, Error> {
    let not_found = || Problem::not_found("input.id", "member");
    let member = store::lock(work.tx, id).await?.ok_or_else(not_found)?;
    find_in_work(work, id).await?.ok_or_else(not_found)?;
    Ok(member)
}

fn refuse_stale(member: &Member, version: Option<i32>) -> Result<(), Problem> {
    match version.is_some_and(|version| version != member.version) {
        true => Err(Problem::stale("input.version", member.version)),
        false => Ok(()),
    }
}

/// Oneself, or the owner of the key that asks: a key does nothing to the member that it acts for.
fn refuse_oneself(work: &Work<'_>, member: &Member) -> Result<(), Problem> {
    match work.membership().is_some_and(|own| own.holder.member() == Some(member.id)) {
        true => {
            let message = "You cannot do this to yourself. To go, use memberLeave.";
            Err(Problem::new(UserErrorCode::SelfActionForbidden, "input.id", message))
        }
        false => Ok(()),
    }
}

/// What is done to an owner, only an owner does: as a person, and not by a key.
async fn refuse_if_only_owners_may(work: &Work<'_>, member: &Member) -> Result<(), Error> {
    if matches!(work.ctx.principal, Principal::Operator { .. }) {
        return Ok(());
    }
    let own = own_member(work.ctx);
    let asked: Vec<_> = own.into_iter().chain([member.id]).collect();
    let owners = owners_among(work.tx, &asked).await?;
    match owners.contains(&member.id) && !own.is_some_and(|own| owners.contains(&own)) {
        true => Err(ApiError::new(ErrorCode::Forbidden, "Only an owner does this to an owner.").into()),
        false => Ok(()),
    }
}

/// A refusal of what only a person does, for whoever else asks.
pub(crate) fn only_people(does_what: &str) -> Error {
    ApiError::new(ErrorCode::Forbidden, format!("Only a person {does_what}, not an API key.")).into()
}

fn invalid_state(message: &str) -> Error {
    Problem::new(UserErrorCode::InvalidState, "input.id", message).into()
}

async fn stand(work: &Work<'_>, member: &Member, status: MemberStatus) -> Result<Member, Error> {
    let set = work.tx.attempt(store::set_status(work.tx, member, status, work.now())).await;
    set.map_err(refused)?.ok_or_else(nothing_returned)
}

/// What the constraints on the counters say.
pub(crate) fn refused(error: DbError) -> Error {
    match &error {
        DbError::Check(name) if name == "tenant_counters_owners" => {
            let message = "The tenant would be without an owner. Make somebody else an owner first.";
            Problem::new(UserErrorCode::LastOwner, "input", message).into()
        }
        DbError::Check(name) if name == "tenant_counters_seats" => {
            Problem::new(UserErrorCode::SeatLimitReached, "input", "All seats of the plan are taken.").into()
        }
        _ => error.into(),
    }
}

/// Ends a membership. The order matters: the status first, because the count of owners asks for the grants.
async fn end(work: &Work<'_>, member: &Member, event: &'static str) -> Result<Gone, Error> {
    stand(work, member, MemberStatus::Removed).await?;
    ownership::service::end_offers_of(work, member.id).await?;
    let held = roles::grants::of_member(work, member.id, None).await?;
    work.access_changed(AccessChange::of(SubjectKind::Member, member.id));
    roles::grants::note_taken(work, member.id, &held, None);
    let grants = store::delete_grants(work.tx, member.id).await?;
    let groups = store::delete_from_groups(work.tx, member.id).await?;
    let places = store::delete_places(work.tx, member.id).await?;
    let accounts = store::orphan_service_accounts(work.tx, member.id, work.now()).await?;
    let keys = api_keys::service::revoke_of(work, member.id, OWNER_IS_GONE).await?;
    let tasks = tasks::service::unassign(work, member.id).await?;
    let projects = projects::service::disown(work, member.id).await?;
    work.detail("roleGrants", grants);
    work.detail("groups", groups);
    work.detail("workspaces", places);
    work.detail("serviceAccountsWithoutOwner", accounts);
    work.detail("apiKeyIds", &keys);
    work.detail("tasksUnassigned", tasks);
    work.detail("projectsWithoutOwner", projects);
    about(work, member.id, event);
    Ok(Gone { member: member.id })
}

fn about(work: &Work<'_>, member: MemberId, event: &'static str) {
    work.target(Target::new("member", member));
    work.event(Event {
        kind: event,
        workspace: None,
        subject: member.uuid(),
        payload: serde_json::json!({ "memberId": member }),
    });
}
