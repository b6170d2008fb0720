//! The use cases of roles.

use std::sync::Arc;

use super::{
    loaders::{RoleById, sees_roles},
    store::{self, Place, Slice},
    types::{Role, RoleSort},
};
use crate::{
    access::{On, Permission},
    context::Denied,
    domain::{Error, Services, mutation::Work, reading::ReadScope},
    graphql::connection::{Direction, MAX_COUNTED, Page, PageRequest},
    ids::{Id, RoleId},
};

/// The role with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: RoleId) -> Result<Option<Role>, Error> {
    scope.load::<RoleById>(id).await
}

/// Whether a mutation sees the tenant's roles, by the rights it has read itself.
pub(super) fn sees_roles_of_work(work: &Work<'_>) -> bool {
    work.can(Permission::RolesRead, On::Tenant) || work.can(Permission::RolesGrant, On::Anywhere)
}

/// How a list of roles is asked for.
#[derive(Clone, Debug)]
pub struct RoleList {
    /// The field that gives it, for example `Query.roles`: a cursor of one is none of the other.
    pub field: &'static str,
    /// In which order.
    pub sort: RoleSort,
    /// From the end of that order.
    pub descending: bool,
    /// Which part.
    pub page: PageRequest,
}

/// A page of the tenant's roles. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Denied`] without `roles:read`, and `roles:grant` nowhere; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, list: RoleList) -> Result<Page<Role>, Error> {
    let ctx = scope.ctx();
    if !sees_roles(ctx) {
        return Err(Denied { permission: Permission::RolesRead }.into());
    }
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), list.field, &(), list.sort.key(list.descending));
    let after = match &list.page.cursor {
        None => None,
        Some(cursor) => {
            let cursor = cursors.open::<Place>(cursor)?;
            Some((cursor.values.clone(), cursor.id()))
        }
    };
    let descending = list.descending ^ (list.page.direction == Direction::Backward);
    let slice = Slice { sort: list.sort, descending, after, limit: list.page.fetch() };
    let rows = store::page(scope.tx().await?, slice).await?;
    let sort = list.sort;
    let page = Page::of_rows(rows, &list.page, move |role: &Role| cursors.seal(&Place::of(role, sort), role.id.uuid()));
    let scope = Arc::clone(scope);
    Ok(page.counted(move || {
        let scope = Arc::clone(&scope);
        async move { count(&scope).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, MAX_COUNTED).await?))
}
