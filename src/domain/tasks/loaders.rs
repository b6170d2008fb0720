//! Batches of tasks.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    store::{self, Parent, Slice},
    types::{Task, TaskFind},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::Batch,
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

/// A page of tasks under one parent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChildrenOf {
    /// The parent's uuid.
    pub parent: Uuid,
    /// What kind of parent it is, and which of its tasks are wanted.
    pub wanted: (Parent, TaskFind, Slice),
}

/// Pages of tasks under their parents: one statement for all parents that are asked the same way.
pub struct TasksUnder;

impl Batch for TasksUnder {
    type Key = ChildrenOf;
    type Value = Vec<Task>;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[ChildrenOf],
    ) -> Result<HashMap<ChildrenOf, Vec<Task>>, DbError> {
        let reach = ctx.reach(Permission::TasksRead);
        let mut found: HashMap<ChildrenOf, Vec<Task>> = keys.iter().map(|key| (key.clone(), Vec::new())).collect();
        let mut groups: HashMap<_, Vec<Uuid>> = HashMap::new();
        for key in keys {
            groups.entry(key.wanted.clone()).or_default().push(key.parent);
        }
        let pages = groups.into_iter().map(|(wanted, parents)| {
            let reach = &reach;
            async move {
                let rows = store::children(tx, wanted.0, parents, &wanted.1, reach, &wanted.2).await?;
                Ok::<_, DbError>((wanted, rows))
            }
        });
        for (wanted, rows) in futures::future::try_join_all(pages).await? {
            for (parent, task) in rows {
                let key = ChildrenOf { parent, wanted: wanted.clone() };
                found.entry(key).or_default().push(task);
            }
        }
        Ok(found)
    }
}
