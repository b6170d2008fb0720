//! The use cases of groups.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    loaders::{GroupById, MembersOfGroup, MembersOfGroupCounted},
    store::{self, MemberSlice, Slice},
    types::{Group, GroupChanges, GroupMember, MAX_AT_ONCE, NewGroup},
};
use crate::{
    access::{On, Permission, escalation::Says},
    context::RequestContext,
    db::DbError,
    domain::{
        Error, Problem, Services,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        members,
        mutation::{self, Work, Written},
        reading::{ReadScope, Under},
        roles::{
            grants::{self, Holding},
            types::{reason_of, reason_problem},
            weigh::Weigh,
        },
        tasks::service::{nothing_returned, reject},
    },
    graphql::{
        codes::UserErrorCode,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
    },
    ids::{GroupId, Id, MemberId},
};

/// The group with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: GroupId) -> Result<Option<Group>, Error> {
    scope.load::<GroupById>(id).await
}

/// A page of the tenant's groups, newest first. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Denied`] without `groups:read`; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, page: PageRequest) -> Result<Page<Group>, Error> {
    let ctx = scope.ctx();
    ctx.require(Permission::GroupsRead, On::Tenant)?;
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), "Query.groups", &(), "created_at-");
    let after = page.cursor.as_deref().map(|cursor| cursors.open::<DateTime<Utc>>(cursor)).transpose()?;
    let slice = Slice {
        descending: page.direction == Direction::Forward,
        after: after.map(|cursor| (cursor.values, cursor.id())),
        limit: page.fetch(),
    };
    let rows = store::page(scope.tx().await?, slice).await?;
    let page = Page::of_rows(rows, &page, move |group: &Group| cursors.seal(&group.created_at, group.id.uuid()));
    let scope = Arc::clone(scope);
    Ok(page.counted(move || {
        let scope = Arc::clone(&scope);
        async move { count(&scope).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, MAX_COUNTED).await?))
}

/// A page of the members of a group, those first who came to the tenant first. All groups of a level are asked in one
/// statement.
///
/// # Errors
/// As [`list`].
pub async fn list_members(
    services: &Services,
    scope: &Arc<ReadScope>,
    group: GroupId,
    page: PageRequest,
) -> Result<Page<GroupMember>, Error> {
    let tenant = scope.ctx().tenant()?.id;
    let cursors = services.cursors.list(Some(tenant), "Group.members", &group, "member_id+");
    let after = match &page.cursor {
        None => None,
        Some(cursor) => Some(cursors.open::<()>(cursor)?.id::<MemberId>()),
    };
    let slice = MemberSlice { descending: page.direction == Direction::Backward, after, limit: page.fetch() };
    let rows = scope.load::<MembersOfGroup>(Under { parent: group.uuid(), wanted: slice }).await?.unwrap_or_default();
    let scope = Arc::clone(scope);
    let page = Page::of_rows(rows, &page, move |row: &GroupMember| cursors.seal(&(), row.member_id.uuid()));
    Ok(page.counted(move || {
        let (key, scope) = (Under { parent: group.uuid(), wanted: () }, Arc::clone(&scope));
        async move { scope.load::<MembersOfGroupCounted>(key).await.map_err(Error::into_api) }
    }))
}

/// Creates a group without members.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input, `TAKEN` for the name of another group; [`Error::Denied`] without
/// `groups:write`.
pub async fn create(
    services: &Services,
    ctx: &RequestContext,
    name: String,
    description: Option<String>,
) -> Result<Written<Group>, Error> {
    mutation::run(services, ctx, Action::GroupCreate, async |work| {
        work.require(Permission::GroupsWrite, On::Tenant)?;
        let says = GroupChanges { name: Some(name), description };
        reject(says.problems())?;
        let GroupChanges { name, description } = says.trimmed();
        let new = NewGroup {
            id: GroupId::new(work.now()),
            name: name.unwrap_or_default(),
            description: description.unwrap_or_default(),
            created_at: work.now(),
            updated_at: work.now(),
        };
        let group = store::insert(work.tx, new).await.map_err(refused)?.ok_or_else(nothing_returned)?;
        about(work, &group, "group.created");
        Ok(group)
    })
    .await
}

/// Changes the name or the description of a group that is at `version`.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION` if somebody was faster; as [`create`].
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: GroupId,
    version: Option<i32>,
    changes: GroupChanges,
) -> Result<Written<Group>, Error> {
    mutation::run(services, ctx, Action::GroupUpdate, async |work| {
        let group = for_writing(work, id, version, "input.id").await?;
        reject(changes.problems())?;
        work.detail("changed", changes.names());
        let written = store::update(work.tx, id, group.version, changes.trimmed(), work.now()).await;
        let group = written.map_err(refused)?.ok_or_else(nothing_returned)?;
        about(work, &group, "group.updated");
        Ok(group)
    })
    .await
}

/// Deletes a group, with the roles that were given to it.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`; `PERMISSION_ESCALATION` if its roles deny something that the caller does not hold, which
/// its members would be free to do; [`Error::Denied`] without `groups:write`.
pub async fn delete(
    services: &Services,
    ctx: &RequestContext,
    id: GroupId,
    version: Option<i32>,
    reason: Option<String>,
) -> Result<Written<Group>, Error> {
    mutation::run(services, ctx, Action::GroupDelete, async |work| {
        let group = for_writing(work, id, version, "input.id").await?;
        reject(reason_problem(reason.as_deref()).into_iter().collect())?;
        let reason = reason_of(reason);
        let holdings = grants::of_group(work, id).await?;
        let mut weigh = Weigh::new(work);
        for holding in &holdings {
            weigh.add(holding.says, Says::NOTHING, holding.workspace).await?;
            let change = AccessChange {
                role: Some(holding.role),
                workspace: holding.workspace,
                reason: reason.clone(),
                ..AccessChange::of(SubjectKind::Group, id)
            };
            work.access_changed(change.from_to(holding.says, Says::NOTHING));
        }
        weigh.refuse("input.id")?;
        grants::delete_of_group(work, id).await?;
        store::delete(work.tx, id).await?;
        work.detail("grants", holdings.len());
        about(work, &group, "group.deleted");
        Ok(group)
    })
    .await
}

/// Puts members into a group: all of them or none.
///
/// # Errors
/// `NOT_FOUND` for the group or a member that the caller does not see, `ALREADY_MEMBER`, `TOO_LONG` for more than 100;
/// `PERMISSION_ESCALATION` if the group's roles give what the caller does not hold there; [`Error::Denied`] without
/// `groups:write`.
pub async fn add_members(
    services: &Services,
    ctx: &RequestContext,
    id: GroupId,
    ids: Vec<MemberId>,
    reason: Option<String>,
) -> Result<Written<Group>, Error> {
    mutation::run(services, ctx, Action::GroupMembersAdd, async |work| {
        let group = for_writing(work, id, None, "input.groupId").await?;
        reject(list_problems(&ids, reason.as_deref()))?;
        let seen = members::service::seen_by_work(work, &ids).await?;
        let inside = store::members_among(work.tx, id, &ids).await?;
        reject(each(&ids, |member| match member {
            member if !seen.contains(member) => {
                Some((UserErrorCode::NotFound, "There is no such member that you may see."))
            }
            member if inside.contains(member) => {
                Some((UserErrorCode::AlreadyMember, "The member is in the group already."))
            }
            _ => None,
        }))?;
        change_members(work, &group, &ids, reason, true).await
    })
    .await
}

/// Takes members out of a group: all of them or none.
///
/// # Errors
/// `NOT_FOUND` for the group or somebody who is not in it, `TOO_LONG` for more than 100; `PERMISSION_ESCALATION` if the
/// group's roles deny something that the caller does not hold there; [`Error::Denied`] without `groups:write`.
pub async fn remove_members(
    services: &Services,
    ctx: &RequestContext,
    id: GroupId,
    ids: Vec<MemberId>,
    reason: Option<String>,
) -> Result<Written<Group>, Error> {
    mutation::run(services, ctx, Action::GroupMembersRemove, async |work| {
        let group = for_writing(work, id, None, "input.groupId").await?;
        reject(list_problems(&ids, reason.as_deref()))?;
        let inside = store::members_among(work.tx, id, &ids).await?;
        reject(each(&ids, |member| {
            (!inside.contains(member)).then_some((UserErrorCode::NotFound, "There is no such member in the group."))
        }))?;
        change_members(work, &group, &ids, reason, false).await
    })
    .await
}

/// Members join or leave: what the group's roles say is weighed at the place of each.
async fn change_members(
    work: &Work<'_>,
    group: &Group,
    ids: &[MemberId],
    reason: Option<String>,
    join: bool,
) -> Result<Group, Error> {
    let holdings = grants::of_group(work, group.id).await?;
    let sides = |holding: &Holding| if join { (Says::NOTHING, holding.says) } else { (holding.says, Says::NOTHING) };
    let mut weigh = Weigh::new(work);
    for holding in &holdings {
        let (before, after) = sides(holding);
        weigh.add(before, after, holding.workspace).await?;
    }
    weigh.refuse("input.groupId")?;
    if join && holdings.iter().any(|holding| !holding.says.deny.is_empty()) {
        grants::refuse_to_bind_owners(work, ids, "input.memberIds").await?;
    }
    match join {
        true => store::add(work.tx, group.id, ids, work.now()).await?,
        false => store::remove(work.tx, group.id, ids).await?,
    }
    let reason = reason_of(reason);
    for member in ids {
        for holding in &holdings {
            let (before, after) = sides(holding);
            let change = AccessChange {
                group: Some(group.id.uuid()),
                role: Some(holding.role),
                workspace: holding.workspace,
                expires_at: holding.expires_at,
                reason: reason.clone(),
                ..AccessChange::of(SubjectKind::Member, *member)
            };
            work.access_changed(change.from_to(before, after));
        }
        if holdings.is_empty() {
            let change =
                AccessChange { group: Some(group.id.uuid()), reason: reason.clone(), ..AccessChange::default() };
            work.access_changed(AccessChange { subject: Some((SubjectKind::Member, member.uuid())), ..change });
        }
    }
    work.detail("members", ids.len());
    about(work, group, if join { "group.members_added" } else { "group.members_removed" });
    Ok(group.clone())
}

fn list_problems(ids: &[MemberId], reason: Option<&str>) -> Vec<Problem> {
    let mut problems: Vec<_> = reason_problem(reason).into_iter().collect();
    if ids.is_empty() {
        problems.push(Problem::new(UserErrorCode::Required, "input.memberIds", "Name at least one member."));
    }
    if ids.len() > MAX_AT_ONCE {
        let message = format!("At most {MAX_AT_ONCE} members at once.");
        problems.push(
            Problem::new(UserErrorCode::TooLong, "input.memberIds", message)
                .params(serde_json::json!({ "max": MAX_AT_ONCE })),
        );
    }
    let mut seen = HashSet::new();
    problems.extend(each(ids, |member| {
        (!seen.insert(*member)).then_some((UserErrorCode::Invalid, "The member is named twice."))
    }));
    problems
}

/// The problems of single members of a list, each with its place.
fn each(ids: &[MemberId], mut wrong: impl FnMut(&MemberId) -> Option<(UserErrorCode, &'static str)>) -> Vec<Problem> {
    let problems = ids.iter().enumerate().filter_map(|(index, member)| {
        let (code, message) = wrong(member)?;
        Some(Problem::new(code, &format!("input.memberIds.{index}"), message))
    });
    problems.collect()
}

/// The group, locked, if the caller may see and change it and knows its version.
async fn for_writing(work: &Work<'_>, id: GroupId, version: Option<i32>, path: &str) -> Result<Group, Error> {
    let group = store::lock(work.tx, id).await?.filter(|_| work.can(Permission::GroupsRead, On::Tenant));
    let group = group.ok_or_else(|| Problem::not_found(path, "group"))?;
    work.require(Permission::GroupsWrite, On::Tenant)?;
    if version.is_some_and(|version| version != group.version) {
        return Err(Problem::stale("input.version", group.version).into());
    }
    Ok(group)
}

/// The groups with these ids that a mutation sees.
///
/// # Errors
/// [`DbError`].
pub(crate) async fn seen_by_work(work: &Work<'_>, id: GroupId) -> Result<Option<Group>, DbError> {
    let found = store::find_many(work.tx, &[id]).await?.into_iter().next();
    Ok(found.filter(|_| work.can(Permission::GroupsRead, On::Tenant)))
}

fn refused(error: DbError) -> Error {
    match error {
        DbError::Unique(name) if name == "groups_name" => {
            Problem::new(UserErrorCode::Taken, "input.name", "Another group of this tenant has this name.").into()
        }
        other => other.into(),
    }
}

fn about(work: &Work<'_>, group: &Group, event: &'static str) {
    work.target(Target::new("group", group.id));
    work.event(Event {
        kind: event,
        workspace: None,
        subject: group.id.uuid(),
        payload: serde_json::json!({ "groupId": group.id, "version": group.version }),
    });
}
