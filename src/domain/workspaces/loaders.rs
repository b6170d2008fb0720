//! Batches of workspaces and of their members.

use std::collections::HashMap;

use super::{
    sight::Sight,
    store::{self, MemberSlice, Slice},
    types::{Workspace, WorkspaceFind, WorkspaceMember},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::{Batch, Under, by_wish, counts, pages, totals},
    graphql::connection::MAX_COUNTED,
    ids::{Id, WorkspaceId},
};

/// Workspaces by id.
pub struct WorkspaceById;

impl Batch for WorkspaceById {
    type Key = WorkspaceId;
    type Value = Workspace;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[WorkspaceId],
    ) -> Result<HashMap<WorkspaceId, Workspace>, DbError> {
        let sight = Sight::of_request(ctx);
        let found = store::find_many(tx, keys).await?;
        Ok(found
            .into_iter()
            .filter(|workspace| sight.shows(workspace))
            .map(|workspace| (workspace.id, workspace))
            .collect())
    }
}

/// Pages of workspaces under their parents: one statement for all parents that are asked the same way.
pub struct WorkspacesUnder;

impl Batch for WorkspacesUnder {
    type Key = Under<(WorkspaceFind, Slice)>;
    type Value = Vec<Workspace>;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[Self::Key],
    ) -> Result<HashMap<Self::Key, Vec<Workspace>>, DbError> {
        let sight = &Sight::of_request(ctx);
        let found =
            by_wish(
                keys,
                |(find, slice), parents| async move { store::children(tx, parents, &find, sight, &slice).await },
            );
        Ok(pages(keys, found.await?))
    }
}

/// How many workspaces are under their parents.
pub struct WorkspacesCounted;

impl Batch for WorkspacesCounted {
    type Key = Under<WorkspaceFind>;
    type Value = i64;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[Self::Key]) -> Result<HashMap<Self::Key, i64>, DbError> {
        let sight = &Sight::of_request(ctx);
        let found = by_wish(keys, |find, parents| async move {
            store::count_children(tx, parents, &find, sight, MAX_COUNTED).await
        });
        Ok(totals(keys, found.await?))
    }
}

/// Pages of the members of workspaces, by the time they were added.
pub struct MembersUnder;

impl Batch for MembersUnder {
    type Key = Under<MemberSlice>;
    type Value = Vec<WorkspaceMember>;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[Self::Key],
    ) -> Result<HashMap<Self::Key, Vec<WorkspaceMember>>, DbError> {
        let found = by_wish(keys, |slice, parents| {
            let parents = with_visible_members(ctx, parents);
            async move { store::members(tx, parents, &slice).await }
        });
        Ok(pages(keys, found.await?))
    }
}

/// How many members workspaces have.
pub struct MembersCounted;

impl Batch for MembersCounted {
    type Key = Under<()>;
    type Value = i64;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[Self::Key]) -> Result<HashMap<Self::Key, i64>, DbError> {
        let found = by_wish(keys, |(), parents| {
            let parents = with_visible_members(ctx, parents);
            async move { store::count_members(tx, parents, MAX_COUNTED).await }
        });
        Ok(counts(found.await?))
    }
}

/// The workspaces whose members the caller may see.
fn with_visible_members(ctx: &RequestContext, parents: Vec<uuid::Uuid>) -> Vec<uuid::Uuid> {
    let is_open = |parent: &uuid::Uuid| ctx.can(Permission::MembersRead, On::Workspace(Id::from_uuid(*parent)));
    parents.into_iter().filter(is_open).collect()
}
