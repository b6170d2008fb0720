//! The use cases of the tenant.

use std::sync::Arc;

use super::{
    loaders::{SettingsOfTenant, TenantById, UsageOfTenant},
    store::{self, Slice},
    types::{Membership, Settings, TenantWithPlan, Usage},
};
use crate::{
    domain::{Error, Services, reading::ReadScope},
    graphql::connection::{Direction, Page, PageRequest},
    ids::{Id, TenantId},
};

/// The tenant with this id, if it is the request's and the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: TenantId) -> Result<Option<TenantWithPlan>, Error> {
    scope.load::<TenantById>(id).await
}

/// Its settings, if the caller may see them.
///
/// # Errors
/// As [`find`].
pub async fn settings(scope: &ReadScope, id: TenantId) -> Result<Option<Settings>, Error> {
    scope.load::<SettingsOfTenant>(id).await
}

/// What it uses, if the caller may see it.
///
/// # Errors
/// As [`find`].
pub async fn usage(scope: &ReadScope, id: TenantId) -> Result<Option<Usage>, Error> {
    scope.load::<UsageOfTenant>(id).await
}

/// A page of the tenants of which the caller is a member, by name; empty for an API key. One statement, one more if
/// `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn memberships(
    services: &Services,
    scope: &Arc<ReadScope>,
    request: PageRequest,
) -> Result<Page<Membership>, Error> {
    let Some(user) = scope.ctx().principal.user() else { return Ok(Page::empty()) };
    let cursors = services.cursors.list(None, "Viewer.memberships", &user, "name+");
    let after = match &request.cursor {
        None => None,
        Some(cursor) => {
            let cursor = cursors.open::<String>(cursor)?;
            Some((cursor.values.clone(), cursor.id()))
        }
    };
    let slice = Slice { descending: request.direction == Direction::Backward, after, limit: request.fetch() };
    let Some(person) = scope.person().await? else { return Ok(Page::empty()) };
    let rows = store::memberships(person, slice).await?;
    let page = Page::of_rows(rows, &request, move |row: &Membership| cursors.seal(&row.name, row.tenant_id.uuid()));
    let scope = Arc::clone(scope);
    Ok(page.counted(move || {
        let scope = Arc::clone(&scope);
        async move { count_memberships(&scope).await.map_err(Error::into_api) }
    }))
}

async fn count_memberships(scope: &ReadScope) -> Result<Option<i64>, Error> {
    match scope.person().await? {
        Some(person) => Ok(Some(store::count_memberships(person).await?)),
        None => Ok(Some(0)),
    }
}

/// The tenant that the caller opened last, while they are a member of it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn last_tenant(scope: &ReadScope) -> Result<Option<Membership>, Error> {
    match scope.person().await? {
        Some(person) => Ok(store::last_membership(person).await?),
        None => Ok(None),
    }
}
