//! Tasks as they change.

use std::{collections::VecDeque, sync::Arc};

use async_graphql::{Context, ID, Object, Result, Subscription};
use futures::{Stream, stream};

use super::{TaskNode, service};
use crate::{
    access::{On, Permission::TasksRead},
    context::RequestContext,
    domain::{
        Error,
        gql::{self, Listening},
        live::feed::{Batch, Inlet},
        projects,
        tasks::feed::{ChangeKind, TaskEvent, TaskEvents},
        workspaces,
    },
    graphql::{
        ApiError,
        directives::{list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::{EventId, Id, ProjectId, WorkspaceId},
};

/// Something that happened to a task, or to several at once.
pub struct TaskChangeNode {
    event: Arc<TaskEvent>,
    now: Arc<RequestContext>,
}

/// Something that happened to a task, or to several at once.
#[Object(name = "TaskChange")]
impl TaskChangeNode {
    /// The id of this event: send it as `after` to go on behind it.
    async fn event_id(&self) -> ID {
        self.event.id.into()
    }

    /// What happened.
    async fn kind(&self) -> ChangeKind {
        self.event.kind
    }

    /// When it happened.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.event.occurred_at)
    }

    /// The ids of the tasks: one, unless they were imported.
    #[graphql(directive = list_size::apply(IMPORTED))]
    async fn task_ids(&self) -> Vec<ID> {
        self.event.tasks.iter().map(|id| ID::from(*id)).collect()
    }

    /// The project of the tasks.
    async fn project_id(&self) -> ID {
        self.event.project.into()
    }

    /// The workspace in which it happened.
    async fn workspace_id(&self) -> ID {
        self.event.workspace.into()
    }

    /// The task as it is now, which may be later than this event; null if it was deleted, if several were imported, or if
    /// you may not see it any more.
    async fn task(&self) -> Option<TaskNode> {
        let task = self.event.task.clone()?;
        self.now.can(TasksRead, On::Workspace(task.workspace_id)).then(|| TaskNode::from(task))
    }
}

const IMPORTED: i32 = service::MAX_IMPORT_ROWS as i32;

/// Which tasks somebody waits for.
#[derive(Clone, Copy)]
struct Wanted {
    workspace: Option<WorkspaceId>,
    project: Option<ProjectId>,
    /// The workspace of either, where the right must last.
    place: Option<WorkspaceId>,
}

impl Wanted {
    /// Reads the arguments. Unknown, foreign and invisible things give the same answer.
    async fn read(ctx: &Context<'_>, workspace: Option<ID>, project: Option<ID>) -> Result<Self, Error> {
        let nothing = |argument: &str, what: &str| {
            ApiError::bad_input(argument, format!("There is no {what} with this id that you may see."))
        };
        let scope = gql::scope(ctx);
        let mut wanted = Self { workspace: None, project: None, place: None };
        if let Some(id) = workspace {
            let id = parse(&id)?;
            workspaces::service::find(&scope, id).await?.ok_or_else(|| nothing("workspaceId", "workspace"))?;
            wanted = Self { workspace: Some(id), place: Some(id), ..wanted };
        }
        if let Some(id) = project {
            let id = parse(&id)?;
            let found = projects::service::find(&scope, id).await?.ok_or_else(|| nothing("projectId", "project"))?;
            wanted = Self { project: Some(id), place: Some(found.workspace_id), ..wanted };
        }
        if let Some(place) = wanted.place {
            scope.ctx().require(TasksRead, On::Workspace(place))?;
        }
        Ok(wanted)
    }

    fn takes(&self, event: &TaskEvent, now: &RequestContext) -> bool {
        self.workspace.is_none_or(|wanted| wanted == event.workspace)
            && self.project.is_none_or(|wanted| wanted == event.project)
            && now.can(TasksRead, On::Workspace(event.workspace))
    }

    /// Whether what was asked for at first may still be asked for.
    fn holds(&self, now: &RequestContext) -> bool {
        self.place.is_none_or(|place| now.can(TasksRead, On::Workspace(place)))
    }
}

struct Changes {
    listening: Listening,
    inlet: Inlet<TaskEvents>,
    wanted: Wanted,
    batch: VecDeque<Arc<TaskEvent>>,
    version: i64,
}

impl Changes {
    /// The next change that is wanted and may be seen; `None` at the end of the socket.
    async fn next(&mut self) -> Option<TaskChangeNode> {
        loop {
            let Some(event) = self.batch.pop_front() else {
                let batch = self.wait().await?;
                self.version = batch.version;
                self.batch = batch.items.into_iter().map(|(_, event)| event).collect();
                continue;
            };
            let now = self.listening.current(self.version).await?;
            if !self.wanted.holds(&now) {
                self.listening.lost(TasksRead);
                return None;
            }
            if self.wanted.takes(&event, &now) {
                self.listening.about_to_show(Arc::clone(&now)).await;
                return Some(TaskChangeNode { event, now });
            }
        }
    }

    /// The next events. A right that is lost while nothing happens ends the waiting, too.
    async fn wait(&mut self) -> Option<Batch<Arc<TaskEvent>>> {
        loop {
            tokio::select! {
                batch = self.inlet.next() => match batch {
                    Ok(batch) => return Some(batch),
                    Err(_) => {
                        self.listening.fell_behind();
                        return None;
                    }
                },
                now = self.listening.changed() => {
                    let now = now?;
                    if !self.wanted.holds(&now) {
                        self.listening.lost(TasksRead);
                        return None;
                    }
                }
            }
        }
    }
}

/// What is told about tasks as it happens.
#[derive(Default)]
pub struct TasksSubscription;

#[Subscription]
impl TasksSubscription {
    /// What happens to the tasks that you may see, from now on: of one workspace or project, or anywhere. After a break,
    /// send the last `eventId` as `after`: nothing of the last hour is lost.
    #[graphql(directive = requires_scopes::apply(TasksRead), directive = tenant_scoped::apply())]
    async fn task_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In this workspace; not in those below it.")] workspace_id: Option<ID>,
        #[graphql(desc = "In this project.")] project_id: Option<ID>,
        #[graphql(desc = "Begin behind this event, which is not older than an hour.")] after: Option<ID>,
    ) -> Result<impl Stream<Item = Option<TaskChangeNode>> + use<>> {
        let listening = Listening::of(ctx)?;
        let after = after.as_ref().map(parse::<EventId>).transpose()?.map(Id::uuid);
        let wanted = Wanted::read(ctx, workspace_id, project_id).await?;
        let tenant = gql::request(ctx).tenant().map_err(Error::from)?.id;
        // The look-ups above have ended: nobody waits for a connection while holding one.
        listening.pause();
        let inlet = gql::services(ctx).live.tasks.open(tenant, after).await?;
        let changes = Changes { listening, inlet, wanted, batch: VecDeque::new(), version: 0 };
        Ok(stream::unfold(changes, |mut changes| async move { Some((Some(changes.next().await?), changes)) }))
    }
}
