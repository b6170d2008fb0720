//! Batches of projects.

use std::collections::HashMap;

use super::{
    store::{self, Slice},
    types::{Project, ProjectFind},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::{Batch, Under, by_wish, pages, totals},
    graphql::connection::MAX_COUNTED,
    ids::ProjectId,
};

/// Projects by id.
pub struct ProjectById;

impl Batch for ProjectById {
    type Key = ProjectId;
    type Value = Project;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[ProjectId],
    ) -> Result<HashMap<ProjectId, Project>, DbError> {
        let found = store::find_many(tx, keys).await?;
        Ok(found
            .into_iter()
            .filter(|project| ctx.can(Permission::ProjectsRead, On::Workspace(project.workspace_id)))
            .map(|project| (project.id, project))
            .collect())
    }
}

/// Pages of projects under their workspaces: one statement for all workspaces that are asked the same way.
pub struct ProjectsUnder;

impl Batch for ProjectsUnder {
    type Key = Under<(ProjectFind, Slice)>;
    type Value = Vec<Project>;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[Self::Key],
    ) -> Result<HashMap<Self::Key, Vec<Project>>, DbError> {
        let reach = &ctx.reach(Permission::ProjectsRead);
        let found =
            by_wish(
                keys,
                |(find, slice), parents| async move { store::children(tx, parents, &find, reach, &slice).await },
            );
        Ok(pages(keys, found.await?))
    }
}

/// How many projects workspaces have.
pub struct ProjectsCounted;

impl Batch for ProjectsCounted {
    type Key = Under<ProjectFind>;
    type Value = i64;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[Self::Key]) -> Result<HashMap<Self::Key, i64>, DbError> {
        let reach = &ctx.reach(Permission::ProjectsRead);
        let found = by_wish(keys, |find, parents| async move {
            store::count_children(tx, parents, &find, reach, MAX_COUNTED).await
        });
        Ok(totals(keys, found.await?))
    }
}
