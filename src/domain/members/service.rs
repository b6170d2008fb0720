//! The use cases of members.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    loaders::{MemberById, UserById},
    store::{self, Slice},
    types::{MAX_SEARCH_CHARS, MIN_SEARCH_CHARS, Member, MemberFind, Sight, User},
};
use crate::{
    access::{On, Permission, Reach},
    context::{Membership, Principal, RequestContext},
    db::{DbError, TenantTx},
    domain::{Error, Services, mutation::Work, reading::ReadScope},
    graphql::{
        ApiError,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
    },
    ids::{Id, MemberId, UserId},
};

/// The member with this id, if the caller of this mutation sees it. One statement.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub async fn find_in_work(work: &Work<'_>, id: MemberId) -> Result<Option<Member>, DbError> {
    Ok(store::find_many(work.tx, &[id], &sight_of_work(work)).await?.into_iter().next())
}

/// The owners among these members, active or not. One statement.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub async fn owners_among(tx: &TenantTx, ids: &[MemberId]) -> Result<HashSet<MemberId>, DbError> {
    store::owners_among(tx, ids).await
}

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
    sight_of(ctx, ctx.membership.as_deref())
}

/// Which members a mutation sees, by the rights it has read itself. One of them the caller sees always: themselves.
pub fn sight_of_work(work: &Work<'_>) -> Sight {
    match sight_of(work.ctx, work.membership()) {
        Sight::None => match own_member(work.ctx) {
            own @ Some(_) => Sight::Within { workspaces: Vec::new(), own },
            None => Sight::None,
        },
        sight => sight,
    }
}

fn sight_of(ctx: &RequestContext, membership: Option<&Membership>) -> Sight {
    if matches!(ctx.principal, Principal::Operator { .. }) {
        return Sight::All;
    }
    let Some(Membership { rights, .. }) = membership else { return Sight::None };
    if rights.allows(Permission::MembersRead, On::Tenant) {
        return Sight::All;
    }
    match rights.workspaces_with(Permission::MembersRead) {
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

/// Those of these members whom a mutation sees, in whatever state; who was removed is not there. One statement.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub async fn seen_by_work(work: &Work<'_>, ids: &[MemberId]) -> Result<HashSet<MemberId>, DbError> {
    let found = store::find_many(work.tx, ids, &sight_of_work(work)).await?;
    Ok(found.into_iter().map(|member| member.id).collect())
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
    /// Who are found by this text: in their names and their address, each of its words at the beginning of a word or inside.
    pub search: Option<String>,
    /// The latest first.
    pub descending: bool,
    /// Which part.
    pub page: PageRequest,
}

/// A page of the members that the caller sees. One statement, one more for a search and one if `totalCount` is selected.
///
/// # Errors
/// `BAD_USER_INPUT` for a text that is too short or too long; `INVALID_CURSOR`; [`Error::Denied`] for a filter by role
/// without `roles:read`; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, mut list: MemberList) -> Result<Page<Member>, Error> {
    let ctx = scope.ctx();
    if let Some(search) = list.search.take() {
        list.find.terms = Some(search_terms(scope, search).await?);
    }
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

/// The terms of a search, as the database makes them: by the function that made those of the members.
async fn search_terms(scope: &ReadScope, search: String) -> Result<Vec<String>, Error> {
    let chars = search.trim().chars().count();
    if !(MIN_SEARCH_CHARS..=MAX_SEARCH_CHARS).contains(&chars) || search.contains('\0') {
        let message = format!("Search for {MIN_SEARCH_CHARS} to {MAX_SEARCH_CHARS} characters.");
        let error = ApiError::bad_input("search", message);
        return Err(error.with("min", MIN_SEARCH_CHARS).with("max", MAX_SEARCH_CHARS).into());
    }
    Ok(store::search_terms(scope.tx().await?, search).await?)
}

async fn count(scope: &ReadScope, find: &MemberFind, sight: &Sight, now: DateTime<Utc>) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, find, sight, now, MAX_COUNTED).await?))
}
