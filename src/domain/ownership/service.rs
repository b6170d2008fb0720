//! The use cases of handing over the ownership.

use super::{
    store,
    types::{OwnershipTransfer, OwnershipTransferState},
};
use crate::{
    access::{BuiltinRole, escalation::Says},
    context::{Principal, RequestContext},
    db::DbError,
    domain::{
        Error, Problem, Services,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        identity::service::require_recent_proof,
        members::{
            changes::{only_people, refused},
            service::{active_among, find_in_work, own_member, owners_among},
        },
        mutation::{self, Work, Written},
        reading::ReadScope,
        roles::weigh::policy_of,
        tasks::service::nothing_returned,
    },
    graphql::{
        codes::{ErrorCode, UserErrorCode},
        error::ApiError,
    },
    ids::{Id, MemberId, OwnershipTransferId, RoleId},
};

/// The offer that waits for an answer, if the caller is an owner or it is theirs to answer. Two statements.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn pending(scope: &ReadScope) -> Result<Option<OwnershipTransfer>, Error> {
    let Some(offer) = store::pending(scope.tx().await?).await? else { return Ok(None) };
    Ok(if offer.expires_at > scope.ctx().now() { shown(scope, offer).await? } else { None })
}

/// The offer with this id, in whatever state, if the caller may see it.
///
/// # Errors
/// As [`pending`].
pub async fn find(scope: &ReadScope, id: OwnershipTransferId) -> Result<Option<OwnershipTransfer>, Error> {
    match store::find(scope.tx().await?, id).await? {
        Some(offer) => shown(scope, offer).await,
        None => Ok(None),
    }
}

async fn shown(scope: &ReadScope, offer: OwnershipTransfer) -> Result<Option<OwnershipTransfer>, Error> {
    if matches!(scope.ctx().principal, Principal::Operator { .. }) {
        return Ok(Some(offer));
    }
    let Some(own) = own_member(scope.ctx()) else { return Ok(None) };
    let is_theirs = [offer.from_member_id, offer.to_member_id].contains(&own);
    let is_seen = is_theirs || owners_among(scope.tx().await?, &[own]).await?.contains(&own);
    Ok(is_seen.then_some(offer))
}

/// Offers the ownership to another member.
///
/// # Errors
/// `NOT_FOUND`, `SELF_ACTION_FORBIDDEN`, `CONFIRMATION_MISMATCH` unless `confirm` is the tenant's slug, `INVALID_STATE` if
/// the member is suspended, an owner already, or another offer is open; `FORBIDDEN` for whoever is no owner;
/// `REAUTHENTICATION_REQUIRED`.
pub async fn request(
    services: &Services,
    ctx: &RequestContext,
    to: MemberId,
    confirm: &str,
) -> Result<Written<OwnershipTransfer>, Error> {
    mutation::run(services, ctx, Action::OwnershipTransferRequest, async |work| {
        let own = person(work)?;
        if !owners_among(work.tx, &[own]).await?.contains(&own) {
            return Err(ApiError::new(ErrorCode::Forbidden, "Only an owner hands over the ownership.").into());
        }
        let path = "input.toMemberId";
        let problem = |code, message: &str| Err(Problem::new(code, path, message).into());
        if find_in_work(work, to).await?.is_none() {
            return Err(Problem::not_found(path, "member").into());
        }
        if to == own {
            return problem(UserErrorCode::SelfActionForbidden, "You are an owner already.");
        }
        if !active_among(work.tx, &[to]).await?.contains(&to) {
            return problem(UserErrorCode::InvalidState, "The member is suspended.");
        }
        if owners_among(work.tx, &[to]).await?.contains(&to) {
            return problem(UserErrorCode::InvalidState, "The member is an owner already.");
        }
        if store::slug(work.tx).await?.as_deref() != Some(confirm) {
            let message = "Confirm with the tenant's slug.";
            return Err(Problem::new(UserErrorCode::ConfirmationMismatch, "input.confirm", message).into());
        }
        require_recent_proof(work).await?;
        let now = work.now();
        if let Some(open) = store::pending(work.tx).await? {
            if open.expires_at > now {
                let message = "Another offer is open. Cancel it first.";
                return Err(Problem::new(UserErrorCode::InvalidState, "input", message).into());
            }
            store::resolve(work.tx, open.id, OwnershipTransferState::Expired, now).await?;
        }
        let offer = store::insert(work.tx, own, to, now).await?.ok_or_else(nothing_returned)?;
        about(work, &offer, "ownership_transfer.requested");
        Ok(offer)
    })
    .await
}

/// Accepts an offer: the caller becomes an owner, whoever made it becomes an administrator.
///
/// # Errors
/// `NOT_FOUND` unless the offer was made to the caller and is open, `INVALID_STATE` if whoever made it is no owner any more;
/// `REAUTHENTICATION_REQUIRED`; `FORBIDDEN` for an API key.
pub async fn accept(
    services: &Services,
    ctx: &RequestContext,
    id: OwnershipTransferId,
) -> Result<Written<OwnershipTransfer>, Error> {
    mutation::run(services, ctx, Action::OwnershipTransferAccept, async |work| {
        let own = person(work)?;
        let offer = open(work, id).await?.filter(|offer| offer.to_member_id == own).ok_or_else(not_found)?;
        require_recent_proof(work).await?;
        let from = offer.from_member_id;
        let is_owner = owners_among(work.tx, &[from]).await?.contains(&from);
        if !is_owner || !active_among(work.tx, &[from]).await?.contains(&from) {
            let message = "Whoever made the offer is no owner any more.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
        }
        let (owner, admin) = (builtin(work, BuiltinRole::Owner).await?, builtin(work, BuiltinRole::Admin).await?);
        let now = work.now();
        // In this order there is an owner after every statement, as the constraint asks.
        work.tx
            .attempt(async {
                store::grant(work.tx, own, owner, from, now).await?;
                store::grant(work.tx, from, admin, own, now).await?;
                store::take(work.tx, from, owner).await
            })
            .await
            .map_err(refused)?;
        let offer = store::resolve(work.tx, id, OwnershipTransferState::Accepted, now).await?;
        let offer = offer.ok_or_else(nothing_returned)?;
        for (member, role, is_given) in [(own, owner, true), (from, owner, false), (from, admin, true)] {
            let says = policy_of(work.tx, role).await?;
            let (before, after) = if is_given { (Says::NOTHING, says) } else { (says, Says::NOTHING) };
            let change = AccessChange { role: Some(role), ..AccessChange::of(SubjectKind::Member, member) };
            work.access_changed(change.from_to(before, after));
        }
        about(work, &offer, "ownership_transfer.accepted");
        Ok(offer)
    })
    .await
}

/// Takes an offer back, as an owner, or declines it, as the one to whom it was made.
///
/// # Errors
/// `NOT_FOUND` unless the caller is one of them and the offer is open; `FORBIDDEN` for an API key.
pub async fn cancel(
    services: &Services,
    ctx: &RequestContext,
    id: OwnershipTransferId,
) -> Result<Written<OwnershipTransfer>, Error> {
    mutation::run(services, ctx, Action::OwnershipTransferCancel, async |work| {
        let own = person(work)?;
        let offer = open(work, id).await?.ok_or_else(not_found)?;
        if offer.to_member_id != own && !owners_among(work.tx, &[own]).await?.contains(&own) {
            return Err(not_found().into());
        }
        let offer = store::resolve(work.tx, id, OwnershipTransferState::Cancelled, work.now()).await?;
        let offer = offer.ok_or_else(nothing_returned)?;
        about(work, &offer, "ownership_transfer.cancelled");
        Ok(offer)
    })
    .await
}

/// Ends the offers that a member makes or is made, because the member is suspended, goes, or owns no more.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub(crate) async fn end_offers_of(work: &Work<'_>, member: MemberId) -> Result<usize, DbError> {
    store::end_offers_of(work.tx, member, work.now()).await
}

fn person(work: &Work<'_>) -> Result<MemberId, Error> {
    own_member(work.ctx).ok_or_else(|| only_people("hands over or takes over the ownership"))
}

async fn open(work: &Work<'_>, id: OwnershipTransferId) -> Result<Option<OwnershipTransfer>, Error> {
    let offer = store::find(work.tx, id).await?;
    Ok(offer.filter(|offer| offer.state == OwnershipTransferState::Pending && offer.expires_at > work.now()))
}

fn not_found() -> Problem {
    Problem::new(UserErrorCode::NotFound, "input.id", "There is no open offer with this id that is yours to answer.")
}

async fn builtin(work: &Work<'_>, role: BuiltinRole) -> Result<RoleId, Error> {
    let found = store::builtin(work.tx, role).await?;
    found.ok_or_else(|| Error::Broken(format!("the tenant has no role {}", role.key())))
}

fn about(work: &Work<'_>, offer: &OwnershipTransfer, event: &'static str) {
    work.target(Target::new("ownership_transfer", offer.id));
    let (from, to) = (offer.from_member_id, offer.to_member_id);
    work.detail("fromMemberId", from);
    work.detail("toMemberId", to);
    work.event(Event {
        kind: event,
        workspace: None,
        subject: offer.id.uuid(),
        payload: serde_json::json!({ "ownershipTransferId": offer.id, "fromMemberId": from, "toMemberId": to }),
    });
}
