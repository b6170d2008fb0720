//! The use cases of members.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    loaders::{MemberById, UserById},
    store::{self, Slice},
    types::{Member, MemberFind, Sight, User},
};
use crate::{
    access::{On, Permission, Reach},
    context::{Principal, RequestContext},
    db::{DbError, TenantTx},
    domain::{Error, Services, reading::ReadScope},
    graphql::connection::{Direction, MAX_COUNTED, Page, PageRequest},
    ids::{Id, MemberId, UserId},
};

/// Those of these members who are active in the transaction's tenant. One statement, none for no ids.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub async fn active_among(tx: &TenantTx, ids: &[MemberId]) -> Result<HashSet<MemberId>, DbError> {
    match ids {
        [] => Ok(HashSet::new()),
        ids => store::active_among(tx, ids).await,
    }
}

/// Which members the caller sees.
///
/// Members belong to the tenant as a whole: who holds `members:read` there sees all, whatever is denied on a workspace.
/// Who holds it on workspaces only sees who belongs to those.
pub fn sight(ctx: &RequestContext) -> Sight {
    if ctx.can(Permission::MembersRead, On::Tenant) {
        return Sight::All;
    }
    match ctx.reach(Permission::MembersRead) {
        Reach::Only(workspaces) => Sight::Within { workspaces, own: own_member(ctx) },
        Reach::All | Reach::AllExcept(_) | Reach::None => Sight::None,
    }
}

/// The member that the caller is; `None` for an API key, which acts for its owner but is not the owner.
pub fn own_member(ctx: &RequestContext) -> Option<MemberId> {
    match (&ctx.principal, &ctx.membership) {
        (Principal::Person { .. }, Some(membership)) => membership.holder.member(),
        _ => None,
    }
}

/// The member with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: MemberId) -> Result<Option<Member>, Error> {
    scope.load::<MemberById>(id).await
}

/// The person with this id: oneself, or a member that the caller sees.
///
/// # Errors
/// As [`find`].
pub async fn find_user(scope: &ReadScope, id: UserId) -> Result<Option<User>, Error> {
    if scope.ctx().principal.user() == Some(id) { find_self(scope).await } else { scope.load::<UserById>(id).await }
}

/// The person behind the request, with or without a tenant; `None` for an API key. One statement.
///
/// # Errors
/// As [`find`].
pub async fn find_self(scope: &ReadScope) -> Result<Option<User>, Error> {
    match scope.person().await? {
        Some(person) => Ok(store::find_self(person).await?),
        None => Ok(None),
    }
}

/// How a list of members is asked for.
#[derive(Clone, Debug)]
pub struct MemberList {
    /// The field that gives it, for example `Query.members`: a cursor of one is none of the other.
    pub field: &'static str,
    /// Which members.
    pub find: MemberFind,
    /// The latest first.
    pub descending: bool,
    /// Which part.
    pub page: PageRequest,
}

/// A page of the members that the caller sees. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Denied`] for a filter by role without `roles:read`; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, list: MemberList) -> Result<Page<Member>, Error> {
    let ctx = scope.ctx();
    if list.find.role.is_some() {
        ctx.require(Permission::RolesRead, On::Tenant)?;
    }
    let order = if list.descending { "created_at-" } else { "created_at+" };
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), list.field, &list.find, order);
    let after = match &list.page.cursor {
        None => None,
        Some(cursor) => {
            let cursor = cursors.open::<DateTime<Utc>>(cursor)?;
            Some((cursor.values, cursor.id()))
        }
    };
    let descending = list.descending ^ (list.page.direction == Direction::Backward);
    let slice = Slice { descending, after, limit: list.page.fetch() };
    let (sight, now) = (sight(ctx), ctx.now());
    let rows = store::page(scope.tx().await?, &list.find, &sight, now, slice).await?;
    let page =
        Page::of_rows(rows, &list.page, move |member: &Member| cursors.seal(&member.created_at, member.id.uuid()));
    let (find, scope) = (list.find, Arc::clone(scope));
    Ok(page.counted(move || {
        let (find, sight, scope) = (find.clone(), sight.clone(), Arc::clone(&scope));
        async move { count(&scope, &find, &sight, now).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope, find: &MemberFind, sight: &Sight, now: DateTime<Utc>) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, find, sight, now, MAX_COUNTED).await?))
}
