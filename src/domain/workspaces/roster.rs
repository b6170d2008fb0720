//! Who belongs to a workspace.
//!
//! Belonging gives no right: rights come from grants alone, and so does the [sight](super::sight) of a private workspace.
//! It says who is listed there, and makes a member visible to those who see the members of this workspace only. So whoever
//! is to work in a private workspace gets a role on it as well; and whoever is taken out loses the roles that were given on
//! this very workspace, because somebody who was taken out and still reads along would surprise everybody. What reaches
//! the workspace from above, by a grant on the tenant, on a workspace over it or through a group, stays.

use super::{
    loaders::WorkspaceById,
    service::{for_writing, open_for_writing},
    store,
    types::{TakenOut, WorkspaceMember},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::DbError,
    domain::{
        Error, Problem, Services,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        members::service::{active_among, find_in_work},
        mutation::{self, Work, Written},
        reading::ReadScope,
        roles,
        tasks::service::nothing_returned,
    },
    graphql::codes::UserErrorCode,
    ids::{Id, MemberId, WorkspaceId, WorkspaceMemberId},
};

/// The place with this id, if the caller sees who belongs to its workspace.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: WorkspaceMemberId) -> Result<Option<WorkspaceMember>, Error> {
    let Some((workspace, place)) = store::find_place(scope.tx().await?, id).await? else { return Ok(None) };
    let is_shown = scope.load::<WorkspaceById>(workspace).await?.is_some()
        && scope.ctx().can(Permission::MembersRead, On::Workspace(workspace));
    Ok(is_shown.then_some(place))
}

/// Adds a member to a workspace.
///
/// # Errors
/// `NOT_FOUND` for a workspace or a member that the caller does not see, `INVALID_STATE` for an archived workspace or a
/// suspended member, `ALREADY_MEMBER`; [`Error::Denied`] without `workspace_members:write` there.
pub async fn add(
    services: &Services,
    ctx: &RequestContext,
    workspace: WorkspaceId,
    member: MemberId,
) -> Result<Written<WorkspaceMember>, Error> {
    mutation::run(services, ctx, Action::WorkspaceMemberAdd, async |work| {
        open_for_writing(work, workspace, "input.workspaceId").await?;
        work.require(Permission::WorkspaceMembersWrite, On::Workspace(workspace))?;
        check_seen(work, member).await?;
        if !active_among(work.tx, &[member]).await?.contains(&member) {
            let message = "The member is suspended.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.memberId", message).into());
        }
        let place = work.tx.attempt(store::insert_place(work.tx, workspace, member, work.now())).await;
        let place = place.map_err(refused)?.ok_or_else(nothing_returned)?;
        about(work, workspace, member, "workspace_member.added");
        work.access_changed(belongs(workspace, member));
        Ok(place)
    })
    .await
}

/// Takes a member out of a workspace, with the roles that were given on this very workspace.
///
/// # Errors
/// `NOT_FOUND` for a workspace or a member that the caller does not see, or that has neither place nor role there;
/// [`Error::Denied`] without `workspace_members:write` there, and without `roles:grant` if there are roles to take.
pub async fn take_out(
    services: &Services,
    ctx: &RequestContext,
    workspace: WorkspaceId,
    member: MemberId,
) -> Result<Written<TakenOut>, Error> {
    mutation::run(services, ctx, Action::WorkspaceMemberRemove, async |work| {
        let on = On::Workspace(workspace);
        for_writing(work, workspace, "input.workspaceId", None, Permission::WorkspaceMembersWrite).await?;
        check_seen(work, member).await?;
        let places = store::delete_place(work.tx, workspace, member).await?;
        let held = roles::grants::of_member(work, member, Some(workspace)).await?;
        let grants = store::delete_grants(work.tx, workspace, member).await?;
        if grants > 0 {
            work.require(Permission::RolesGrant, on)?;
            roles::grants::refuse_taking(work, &held, "input.memberId").await?;
            roles::grants::note_taken(work, member, &held, None);
        }
        if places + grants == 0 {
            return Err(Problem::not_found("input.memberId", "member of the workspace").into());
        }
        work.detail("roleGrants", grants);
        about(work, workspace, member, "workspace_member.removed");
        work.access_changed(belongs(workspace, member));
        Ok(TakenOut(member))
    })
    .await
}

/// Who belongs to a workspace is seen by those who see its members, whatever roles are held.
fn belongs(workspace: WorkspaceId, member: MemberId) -> AccessChange {
    AccessChange { workspace: Some(workspace), ..AccessChange::of(SubjectKind::Member, member) }
}

async fn check_seen(work: &Work<'_>, member: MemberId) -> Result<(), Error> {
    match find_in_work(work, member).await? {
        Some(_) => Ok(()),
        None => Err(Problem::not_found("input.memberId", "member").into()),
    }
}

fn refused(error: DbError) -> Error {
    match error {
        DbError::Unique(_) => {
            let message = "The member belongs to the workspace already.";
            Problem::new(UserErrorCode::AlreadyMember, "input.memberId", message).into()
        }
        other => other.into(),
    }
}

fn about(work: &Work<'_>, workspace: WorkspaceId, member: MemberId, event: &'static str) {
    work.target(Target::in_workspace("member", member, workspace));
    work.event(Event {
        kind: event,
        workspace: Some(workspace),
        subject: member.uuid(),
        payload: serde_json::json!({ "workspaceId": workspace, "memberId": member }),
    });
}
