//! Batches of tasks.

use std::collections::HashMap;

use super::{
    store::{self, Parent, Slice},
    types::{ShownTask, Task, TaskFind},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::{Batch, Under, by_wish, pages, totals},
    graphql::connection::MAX_COUNTED,
    ids::TaskId,
};

/// Tasks by id.
pub struct TaskById;

impl Batch for TaskById {
    type Key = TaskId;
    type Value = Task;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[TaskId]) -> Result<HashMap<TaskId, Task>, DbError> {
        let found = store::find_many(tx, keys).await?;
        Ok(found
            .into_iter()
            .filter(|task| ctx.can(Permission::TasksRead, On::Workspace(task.workspace_id)))
            .map(|task| (task.id, task))
            .collect())
    }
}

/// Pages of tasks under their parents: one statement for all parents that are asked the same way.
pub struct TasksUnder;

impl Batch for TasksUnder {
    type Key = Under<(Parent, TaskFind, Slice)>;
    type Value = Vec<ShownTask>;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[Self::Key],
    ) -> Result<HashMap<Self::Key, Vec<ShownTask>>, DbError> {
        let reach = &ctx.reach(Permission::TasksRead);
        let found = by_wish(keys, |(parent, find, slice), parents| async move {
            store::children(tx, parent, parents, &find, reach, &slice).await
        });
        Ok(pages(keys, found.await?))
    }
}

/// How many tasks are under their parents.
pub struct TasksCounted;

impl Batch for TasksCounted {
    type Key = Under<(Parent, TaskFind)>;
    type Value = i64;

    async fn load(tx: &TenantTx, ctx: &RequestContext, keys: &[Self::Key]) -> Result<HashMap<Self::Key, i64>, DbError> {
        let reach = &ctx.reach(Permission::TasksRead);
        let found = by_wish(keys, |(parent, find), parents| async move {
            store::count_children(tx, parent, parents, &find, reach, MAX_COUNTED).await
        });
        Ok(totals(keys, found.await?))
    }
}
