//! The use cases of projects.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    loaders::{ProjectById, ProjectsCounted, ProjectsUnder},
    store::{self, Place, Slice},
    types::{Project, ProjectChanges, ProjectDraft, ProjectFind, ProjectSort, ProjectState},
};
use crate::{
    access::{On, Permission, Reach},
    context::RequestContext,
    db::{DbError, WriteTx},
    domain::{
        Error, Problem, Services,
        audit::{Action, Event, Target},
        members,
        mutation::{self, Work, Written},
        reading::{ReadScope, Under},
        tasks::service::{nothing_returned, reject},
        workspaces,
    },
    graphql::{
        codes::UserErrorCode,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
        cursor::ListCursors,
    },
    ids::{Id, MemberId, ProjectId, WorkspaceId},
};

/// The project with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: ProjectId) -> Result<Option<Project>, Error> {
    scope.load::<ProjectById>(id).await
}

/// How a list of projects is asked for.
#[derive(Clone, Debug)]
pub struct ProjectList {
    /// Which projects.
    pub find: ProjectFind,
    /// In which order.
    pub sort: ProjectSort,
    /// From the end of that order.
    pub descending: bool,
    /// Which part.
    pub page: PageRequest,
}

impl ProjectList {
    fn slice(&self, cursors: &ListCursors) -> Result<Slice, Error> {
        let after = match &self.page.cursor {
            None => None,
            Some(cursor) => {
                let cursor = cursors.open::<Place>(cursor)?;
                Some((cursor.values.clone(), cursor.id()))
            }
        };
        let descending = self.descending ^ (self.page.direction == Direction::Backward);
        Ok(Slice { sort: self.sort, descending, after, limit: self.page.fetch() })
    }

    fn into_page(self, cursors: ListCursors, rows: Vec<Project>) -> Page<Project> {
        let sort = self.sort;
        Page::of_rows(rows, &self.page, move |row: &Project| cursors.seal(&Place::of(row, sort), row.id.uuid()))
    }
}

/// A page of the projects that the caller may see. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, list: ProjectList) -> Result<Page<Project>, Error> {
    let ctx = scope.ctx();
    let order = list.sort.key(list.descending);
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), "Query.projects", &list.find, order);
    let reach = ctx.reach(Permission::ProjectsRead);
    let rows = store::page(scope.tx().await?, &list.find, &reach, list.slice(&cursors)?).await?;
    let (find, scope) = (list.find.clone(), Arc::clone(scope));
    Ok(list.into_page(cursors, rows).counted(move || {
        let (find, reach, scope) = (find.clone(), reach.clone(), Arc::clone(&scope));
        async move { count(&scope, &find, &reach).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope, find: &ProjectFind, reach: &Reach) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, find, reach, MAX_COUNTED).await?))
}

/// A page of the projects of a workspace; all workspaces of a level are asked in one statement.
///
/// # Errors
/// As [`list`].
pub async fn list_under(
    services: &Services,
    scope: &Arc<ReadScope>,
    workspace: WorkspaceId,
    list: ProjectList,
) -> Result<Page<Project>, Error> {
    let tenant = scope.ctx().tenant()?.id;
    let order = list.sort.key(list.descending);
    let cursors = services.cursors.list(Some(tenant), "Workspace.projects", &(workspace, &list.find), order);
    let slice = list.slice(&cursors)?;
    if list.find.workspace.is_some_and(|wanted| wanted != workspace) {
        return Ok(Page::empty());
    }
    let key = Under { parent: workspace.uuid(), wanted: (list.find.clone(), slice) };
    let rows = scope.load::<ProjectsUnder>(key).await?.unwrap_or_default();
    let (find, scope) = (list.find.clone(), Arc::clone(scope));
    Ok(list.into_page(cursors, rows).counted(move || {
        let (key, scope) = (Under { parent: workspace.uuid(), wanted: find.clone() }, Arc::clone(&scope));
        async move { scope.load::<ProjectsCounted>(key).await.map_err(Error::into_api) }
    }))
}

/// Creates a project in a workspace.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input; [`Error::Denied`] without `projects:write` in the workspace.
pub async fn create(
    services: &Services,
    ctx: &RequestContext,
    workspace: WorkspaceId,
    draft: ProjectDraft,
) -> Result<Written<Project>, Error> {
    mutation::run(services, ctx, Action::ProjectCreate, async |work| {
        reject(draft.problems("input"))?;
        let workspace = workspaces::service::open_for_writing(work, workspace, "input.workspaceId").await?;
        work.require(Permission::ProjectsWrite, On::Workspace(workspace.id))?;
        check_owner(work, draft.owner).await?;
        let new = draft.checked(workspace.id, ProjectId::new(work.now()), work.now());
        let project = store::insert(work.tx, new).await?.ok_or_else(nothing_returned)?;
        about(work, &project, "project.created");
        Ok(project)
    })
    .await
}

/// Changes a project that is at `version`.
///
/// # Errors
/// As [`create`]; `NOT_FOUND`, `STALE_VERSION` if somebody was faster, `INVALID_STATE` if it is archived.
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: ProjectId,
    version: Option<i32>,
    mut changes: ProjectChanges,
) -> Result<Written<Project>, Error> {
    mutation::run(services, ctx, Action::ProjectUpdate, async |work| {
        reject(changes.problems("input"))?;
        let project = for_writing(work, id, version).await?;
        check_owner(work, changes.owner_member_id.flatten()).await?;
        changes.name = changes.name.map(|name| name.trim().to_owned());
        work.detail("changed", changes.names());
        write(work, &project, changes, "project.updated").await
    })
    .await
}

/// Archives a project: it and its tasks can be read and not changed.
///
/// # Errors
/// As [`update`]; `INVALID_STATE` if it is archived already.
pub async fn archive(
    services: &Services,
    ctx: &RequestContext,
    id: ProjectId,
    version: Option<i32>,
) -> Result<Written<Project>, Error> {
    mutation::run(services, ctx, Action::ProjectArchive, async |work| {
        let project = for_writing(work, id, version).await?;
        let changes = ProjectChanges {
            state: Some(ProjectState::Archived),
            archived_at: Some(Some(work.now())),
            ..ProjectChanges::default()
        };
        write(work, &project, changes, "project.archived").await
    })
    .await
}

/// A project with the time at which its workspace was archived, as [`hold`] gives it.
pub type Held = Option<(Project, Option<DateTime<Utc>>)>;

/// The project as it is until the commit. One statement.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub async fn hold(tx: &WriteTx, id: ProjectId) -> Result<Held, DbError> {
    store::hold(tx, id).await
}

/// The project that something is about to be written into, once it is [held](hold): visible and active.
///
/// # Errors
/// `NOT_FOUND` at `path` if the caller may not see it, `INVALID_STATE` if it or its workspace is archived.
pub fn open_for_writing(work: &Work<'_>, held: Held, path: &str) -> Result<Project, Error> {
    let found = held.filter(|(project, _)| work.can(Permission::ProjectsRead, On::Workspace(project.workspace_id)));
    let (project, workspace_archived_at) = found.ok_or_else(|| Problem::not_found(path, "project"))?;
    refuse_archived(&project, workspace_archived_at, path)?;
    Ok(project)
}

/// Refuses to change what is in an archived project or workspace. For a caller who may see that thing; the project need not
/// be visible. It stays as it is until the commit.
///
/// # Errors
/// `INVALID_STATE` at `path`.
pub async fn refuse_if_archived(work: &Work<'_>, id: ProjectId, path: &str) -> Result<(), Error> {
    let (project, workspace_archived_at) = store::hold(work.tx, id).await?.ok_or_else(nothing_returned)?;
    Ok(refuse_archived(&project, workspace_archived_at, path)?)
}

fn refuse_archived(project: &Project, workspace_archived_at: Option<DateTime<Utc>>, path: &str) -> Result<(), Problem> {
    let message = match (project.state, workspace_archived_at) {
        (ProjectState::Active, None) => return Ok(()),
        (ProjectState::Archived, _) => "The project is archived. It can be read and not changed.",
        (ProjectState::Active, Some(_)) => "The workspace of the project is archived. Restore it to change something.",
    };
    Err(Problem::new(UserErrorCode::InvalidState, path, message))
}

/// Takes the active projects from a member who is none any more; gives their number.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub(crate) async fn disown(work: &Work<'_>, member: MemberId) -> Result<usize, DbError> {
    store::disown(work.tx, member, work.now()).await
}

/// The project, locked, if the caller may see and change it, knows its version and it is not archived.
async fn for_writing(work: &Work<'_>, id: ProjectId, version: Option<i32>) -> Result<Project, Error> {
    let project = store::lock(work.tx, id).await?;
    let project = project.filter(|project| work.can(Permission::ProjectsRead, On::Workspace(project.workspace_id)));
    let project = project.ok_or_else(|| Problem::not_found("input.id", "project"))?;
    work.require(Permission::ProjectsWrite, On::Workspace(project.workspace_id))?;
    if version.is_some_and(|version| version != project.version) {
        return Err(Problem::stale("input.version", project.version).into());
    }
    refuse_archived(&project, store::hold_workspace(work.tx, project.workspace_id).await?, "input.id")?;
    Ok(project)
}

async fn check_owner(work: &Work<'_>, owner: Option<MemberId>) -> Result<(), Error> {
    let Some(owner) = owner else { return Ok(()) };
    match members::service::active_among(work.tx, &[owner]).await?.contains(&owner) {
        true => Ok(()),
        false => Err(Problem::not_found("input.ownerId", "active member").into()),
    }
}

async fn write(
    work: &Work<'_>,
    project: &Project,
    changes: ProjectChanges,
    event: &'static str,
) -> Result<Project, Error> {
    let written = store::update(work.tx, project.id, project.version, changes, work.now()).await?;
    let project = written.ok_or_else(nothing_returned)?;
    about(work, &project, event);
    Ok(project)
}

fn about(work: &Work<'_>, project: &Project, event: &'static str) {
    work.target(Target::in_workspace("project", project.id, project.workspace_id));
    work.event(Event {
        kind: event,
        workspace: Some(project.workspace_id),
        subject: project.id.uuid(),
        payload: serde_json::json!({
            "projectId": project.id, "workspaceId": project.workspace_id, "version": project.version,
        }),
    });
}
