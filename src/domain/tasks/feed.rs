//! What happened to tasks, out of the outbox, for subscribers.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{store, types::Task};
use crate::{
    db::{DbError, TenantTx},
    domain::{
        audit::feed::{self, StoredEvent},
        live::feed::{Position, Rows, Source},
    },
    ids::{EventId, Id, ProjectId, TaskId, WorkspaceId},
};

/// What was done to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "TaskChangeKind")]
pub enum ChangeKind {
    /// It was created.
    Created,
    /// Something about it was changed.
    Updated,
    /// It was given to a member, or taken from one.
    Assigned,
    /// It was completed.
    Completed,
    /// It was deleted.
    Deleted,
    /// Several were created at once.
    Imported,
}

impl ChangeKind {
    fn of(event: &str) -> Option<Self> {
        Some(match event {
            "task.created" => Self::Created,
            "task.updated" => Self::Updated,
            "task.assigned" => Self::Assigned,
            "task.completed" => Self::Completed,
            "task.deleted" => Self::Deleted,
            "tasks.imported" => Self::Imported,
            _ => return None,
        })
    }
}

/// Something that happened to a task, or to several.
#[derive(Clone, Debug)]
pub struct TaskEvent {
    /// The event.
    pub id: EventId,
    /// What happened.
    pub kind: ChangeKind,
    /// The tasks: one, unless they were imported.
    pub tasks: Vec<TaskId>,
    /// Their project.
    pub project: ProjectId,
    /// The workspace they were in.
    pub workspace: WorkspaceId,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// The one task as it was when the event was read; `None` if it is gone, or several were imported.
    pub task: Option<Task>,
}

impl TaskEvent {
    /// `None` for an event that is about no task.
    fn of(event: StoredEvent) -> Option<Self> {
        let kind = ChangeKind::of(&event.kind)?;
        let read = || {
            let tasks = match kind {
                ChangeKind::Imported => serde_json::from_value(event.payload.get("taskIds")?.clone()).ok()?,
                _ => vec![TaskId::from_uuid(event.subject_id?)],
            };
            let project = serde_json::from_value(event.payload.get("projectId")?.clone()).ok()?;
            Some(Self {
                id: event.id,
                kind,
                tasks,
                project,
                workspace: event.workspace_id?,
                occurred_at: event.occurred_at,
                task: None,
            })
        };
        let read = read();
        if read.is_none() {
            tracing::error!(event.id = %event.id, event.kind = event.kind, "an event cannot be read; nobody gets it");
        }
        read
    }
}

/// Events about tasks.
pub struct TaskEvents;

impl Source for TaskEvents {
    type Item = Arc<TaskEvent>;

    const NAME: &'static str = "tasks";

    /// The events and, in one statement for all of them, their tasks.
    async fn page(
        tx: &TenantTx,
        after: Position,
        horizon: i64,
        floor: Uuid,
        limit: i64,
    ) -> Result<Rows<Self::Item>, DbError> {
        let rows = feed::events_page(tx, after, horizon, floor, limit).await?;
        let mut events: Vec<_> = rows.into_iter().map(|(at, event)| (at, TaskEvent::of(event))).collect();
        let single = |event: &TaskEvent| (event.kind != ChangeKind::Imported).then(|| event.tasks.first().copied());
        let ids: Vec<TaskId> =
            events.iter().filter_map(|(_, event)| event.as_ref().and_then(single).flatten()).collect();
        if !ids.is_empty() {
            let found: HashMap<_, _> =
                store::find_many(tx, &ids).await?.into_iter().map(|task| (task.id, task)).collect();
            for event in events.iter_mut().filter_map(|(_, event)| event.as_mut()) {
                event.task = single(event).flatten().and_then(|id| found.get(&id).cloned());
            }
        }
        Ok(events.into_iter().map(|(at, event)| (at, event.map(Arc::new))).collect())
    }

    async fn waits(tx: &TenantTx, horizon: i64, floor: Uuid) -> Result<bool, DbError> {
        feed::events_wait(tx, horizon, floor).await
    }

    async fn position(tx: &TenantTx, id: Uuid) -> Result<Option<Position>, DbError> {
        feed::event_position(tx, id).await
    }
}
