//! Reads of the audit log. Who reads it in some workspaces only, sees the entries of those.

use std::sync::Arc;

use super::{
    loaders::AuditLogById,
    store::{self, Slice},
    types::{AccessChangeRow, AccessFind, ActorKind, AuditFind, AuditLog},
};
use crate::{
    access::{Permission, Reach},
    domain::{
        Error, Services,
        api_keys::loaders::ApiKeyById,
        members::loaders::{NameOfMember, UserById},
        reading::ReadScope,
    },
    graphql::connection::{Direction, MAX_COUNTED, Page, PageRequest},
    ids::{AccessChangeId, ApiKeyId, AuditLogId, Id, MemberId, UserId},
};

/// Most actions in one filter.
pub const MAX_ACTIONS: usize = 50;

/// The entry with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: AuditLogId) -> Result<Option<AuditLog>, Error> {
    scope.load::<AuditLogById>(id).await
}

/// How a list of entries is asked for.
#[derive(Clone, Debug)]
pub struct AuditList {
    /// The field that gives it, for example `Query.auditLogs`: a cursor of one is none of the other.
    pub field: &'static str,
    /// Which entries.
    pub find: AuditFind,
    /// Which part.
    pub page: PageRequest,
}

/// A page of the entries that the caller may see, newest first. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, list: AuditList) -> Result<Page<AuditLog>, Error> {
    let ctx = scope.ctx();
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), list.field, &list.find, "id-");
    let after = match &list.page.cursor {
        None => None,
        Some(cursor) => Some(cursors.open::<()>(cursor)?.id()),
    };
    let slice = Slice { descending: list.page.direction == Direction::Forward, after, limit: list.page.fetch() };
    let reach = ctx.reach(Permission::AuditLogsRead);
    let rows = store::page(scope.tx().await?, &list.find, &reach, slice).await?;
    let page = Page::of_rows(rows, &list.page, move |entry: &AuditLog| cursors.seal(&(), entry.id.uuid()));
    let (find, scope) = (list.find, Arc::clone(scope));
    Ok(page.counted(move || {
        let (find, reach, scope) = (find.clone(), reach.clone(), Arc::clone(&scope));
        async move { count(&scope, &find, &reach).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope, find: &AuditFind, reach: &Reach) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, find, reach, MAX_COUNTED).await?))
}

/// How a list of changes of rights is asked for.
#[derive(Clone, Debug)]
pub struct AccessList {
    /// Which changes.
    pub find: AccessFind,
    /// Which part.
    pub page: PageRequest,
}

/// A page of who gained and lost which rights, newest first, as far as the caller may read the audit log there. One
/// statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn access_changes(
    services: &Services,
    scope: &Arc<ReadScope>,
    list: AccessList,
) -> Result<Page<AccessChangeRow>, Error> {
    let ctx = scope.ctx();
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), "Query.accessChanges", &list.find, "id-");
    let after = match &list.page.cursor {
        None => None,
        Some(cursor) => Some(cursors.open::<()>(cursor)?.id::<AccessChangeId>()),
    };
    let reach = ctx.reach(Permission::AuditLogsRead);
    let slice = (list.page.direction == Direction::Forward, after, list.page.fetch());
    let rows = store::access_page(scope.tx().await?, &list.find, &reach, slice).await?;
    let page = Page::of_rows(rows, &list.page, move |row: &AccessChangeRow| cursors.seal(&(), row.id.uuid()));
    let (find, scope) = (list.find, Arc::clone(scope));
    Ok(page.counted(move || {
        let (find, reach, scope) = (find.clone(), reach.clone(), Arc::clone(&scope));
        async move { count_changes(&scope, &find, &reach).await.map_err(Error::into_api) }
    }))
}

async fn count_changes(scope: &ReadScope, find: &AccessFind, reach: &Reach) -> Result<Option<i64>, Error> {
    Ok(Some(store::access_count(scope.tx().await?, find, reach, MAX_COUNTED).await?))
}

/// The name of the one who acted, as far as the caller may know it. Entries asked for together cost one batch for each
/// kind of actor.
///
/// # Errors
/// As [`find`].
pub async fn actor_label(scope: &ReadScope, entry: &AuditLog) -> Result<Option<String>, Error> {
    let Some(id) = entry.actor_id else { return Ok(None) };
    match entry.actor_kind {
        ActorKind::Member => scope.load::<NameOfMember>(MemberId::from_uuid(id)).await,
        ActorKind::User => Ok(scope.load::<UserById>(UserId::from_uuid(id)).await?.map(|user| user.display_name)),
        ActorKind::ApiKey => Ok(scope.load::<ApiKeyById>(ApiKeyId::from_uuid(id)).await?.map(|key| key.name)),
        ActorKind::ServiceAccount | ActorKind::Operator | ActorKind::System | ActorKind::Anonymous => Ok(None),
    }
}
