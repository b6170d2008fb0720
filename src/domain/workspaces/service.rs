//! The use cases of workspaces.

use std::sync::Arc;

use super::{
    loaders::{MembersCounted, MembersUnder, WorkspaceById, WorkspacesCounted, WorkspacesUnder},
    sight::Sight,
    slug,
    store::{self, MemberSlice, Place, Slice},
    types::{
        MAX_DEPTH, Visibility, Workspace, WorkspaceChanges, WorkspaceDraft, WorkspaceFind, WorkspaceMember,
        WorkspaceSort,
    },
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::DbError,
    domain::{
        Error, Problem, Services,
        audit::{Action, Event, Target},
        mutation::{self, Work, Written},
        reading::{ReadScope, Under},
        roles,
        tasks::service::{nothing_returned, reject},
    },
    graphql::{
        codes::UserErrorCode,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
        cursor::ListCursors,
    },
    ids::{Id, WorkspaceId, WorkspaceMemberId},
};

/// The workspace with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: WorkspaceId) -> Result<Option<Workspace>, Error> {
    scope.load::<WorkspaceById>(id).await
}

/// How a list of workspaces is asked for.
#[derive(Clone, Debug)]
pub struct WorkspaceList {
    /// Which workspaces.
    pub find: WorkspaceFind,
    /// In which order.
    pub sort: WorkspaceSort,
    /// From the end of that order.
    pub descending: bool,
    /// Which part.
    pub page: PageRequest,
}

impl WorkspaceList {
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

    fn into_page(self, cursors: ListCursors, rows: Vec<Workspace>) -> Page<Workspace> {
        let sort = self.sort;
        Page::of_rows(rows, &self.page, move |row: &Workspace| cursors.seal(&Place::of(row, sort), row.id.uuid()))
    }
}

/// A page of the workspaces that the caller may see. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn list(services: &Services, scope: &Arc<ReadScope>, list: WorkspaceList) -> Result<Page<Workspace>, Error> {
    let ctx = scope.ctx();
    let order = list.sort.key(list.descending);
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), "Query.workspaces", &list.find, order);
    let sight = Sight::of_request(ctx);
    let rows = store::page(scope.tx().await?, &list.find, &sight, list.slice(&cursors)?).await?;
    let (find, scope) = (list.find.clone(), Arc::clone(scope));
    Ok(list.into_page(cursors, rows).counted(move || {
        let (find, sight, scope) = (find.clone(), sight.clone(), Arc::clone(&scope));
        async move {
            let count = async { Ok(store::count(scope.tx().await?, &find, &sight, MAX_COUNTED).await?) };
            count.await.map(Some).map_err(Error::into_api)
        }
    }))
}

/// A page of the workspaces directly in a workspace; all parents of a level are asked in one statement.
///
/// # Errors
/// As [`list`].
pub async fn list_under(
    services: &Services,
    scope: &Arc<ReadScope>,
    parent: WorkspaceId,
    list: WorkspaceList,
) -> Result<Page<Workspace>, Error> {
    let tenant = scope.ctx().tenant()?.id;
    let order = list.sort.key(list.descending);
    let cursors = services.cursors.list(Some(tenant), "Workspace.children", &(parent, &list.find), order);
    let slice = list.slice(&cursors)?;
    if list.find.parent.is_some_and(|wanted| wanted != parent) {
        return Ok(Page::empty());
    }
    let key = Under { parent: parent.uuid(), wanted: (list.find.clone(), slice) };
    let rows = scope.load::<WorkspacesUnder>(key).await?.unwrap_or_default();
    let (find, scope) = (list.find.clone(), Arc::clone(scope));
    Ok(list.into_page(cursors, rows).counted(move || {
        let (key, scope) = (Under { parent: parent.uuid(), wanted: find.clone() }, Arc::clone(&scope));
        async move { scope.load::<WorkspacesCounted>(key).await.map_err(Error::into_api) }
    }))
}

/// A page of the members of a workspace for the field `field`, in the order in which they were added; empty without `members:read` there. All
/// workspaces of a level are asked in one statement.
///
/// # Errors
/// As [`list`].
pub async fn list_members(
    services: &Services,
    scope: &Arc<ReadScope>,
    field: &'static str,
    workspace: WorkspaceId,
    page: PageRequest,
) -> Result<Page<WorkspaceMember>, Error> {
    let tenant = scope.ctx().tenant()?.id;
    let cursors = services.cursors.list(Some(tenant), field, &workspace, "created_at+");
    let after = match &page.cursor {
        None => None,
        Some(cursor) => {
            let cursor = cursors.open::<chrono::DateTime<chrono::Utc>>(cursor)?;
            Some((cursor.values, cursor.id::<WorkspaceMemberId>()))
        }
    };
    let slice = MemberSlice { descending: page.direction == Direction::Backward, after, limit: page.fetch() };
    let key = Under { parent: workspace.uuid(), wanted: slice };
    let rows = scope.load::<MembersUnder>(key).await?.unwrap_or_default();
    let scope = Arc::clone(scope);
    let page = Page::of_rows(rows, &page, move |row: &WorkspaceMember| cursors.seal(&row.created_at, row.id.uuid()));
    Ok(page.counted(move || {
        let (key, scope) = (Under { parent: workspace.uuid(), wanted: () }, Arc::clone(&scope));
        async move { scope.load::<MembersCounted>(key).await.map_err(Error::into_api) }
    }))
}

/// Creates a workspace.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input, `TAKEN` for the slug of another workspace, `QUOTA_EXCEEDED` at the
/// limit of the plan; [`Error::Denied`] without `workspaces:create`.
pub async fn create(
    services: &Services,
    ctx: &RequestContext,
    draft: WorkspaceDraft,
) -> Result<Written<Workspace>, Error> {
    mutation::run(services, ctx, Action::WorkspaceCreate, async |work| {
        work.require(Permission::WorkspacesCreate, On::Tenant)?;
        reject(draft.problems("input"))?;
        let sight = Sight::of_work(work);
        if let Some(parent) = draft.parent {
            open_for_writing(work, parent, "input.parentId").await?;
        }
        let is_private = draft.visibility == Some(Visibility::Private);
        if is_private && !draft.parent.map_or(sight.private.is_none(), |parent| sight.enters_private(parent)) {
            let message = "You could not see this workspace: nothing gives you a role on it. Make it visible to the \
                           tenant, or create it in a workspace where you have a role.";
            return Err(Problem::new(UserErrorCode::Invalid, "input.visibility", message).into());
        }
        let id = WorkspaceId::new(work.now());
        let slug = match &draft.slug {
            Some(slug) => slug.clone(),
            None => free_slug(work, &draft.name, id).await?,
        };
        let new = draft.checked(id, slug, work.now());
        let workspace = store::insert(work.tx, new).await.map_err(refused)?.ok_or_else(nothing_returned)?;
        about(work, &workspace, "workspace.created");
        Ok(workspace)
    })
    .await
}

/// A slug for this name that no workspace has. Creations wait for each other, so it stays free. One statement.
async fn free_slug(work: &Work<'_>, name: &str, id: WorkspaceId) -> Result<String, Error> {
    let candidates = slug::candidates(name);
    let taken = store::taken_among(work.tx, &candidates).await?;
    let free = candidates.into_iter().find(|slug| !taken.contains(slug));
    // The last characters of the id are random.
    Ok(free.unwrap_or_else(|| slug::with_ending(&slug::derive(name), &id.uuid().simple().to_string()[20..])))
}

/// Changes a workspace that is at `version`.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION` if somebody was faster, `INVALID_STATE` if it is archived; as [`create`]. Moving it in the
/// tree changes who has rights in it, and needs `workspaces:update` for the whole tenant.
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: WorkspaceId,
    version: Option<i32>,
    mut changes: WorkspaceChanges,
) -> Result<Written<Workspace>, Error> {
    mutation::run(services, ctx, Action::WorkspaceUpdate, async |work| {
        let workspace = for_writing(work, id, "input.id", version, Permission::WorkspacesUpdate).await?;
        reject(changes.problems("input"))?;
        refuse_archived(&workspace, "input.id")?;
        if let Some(parent) = changes.parent_workspace_id
            && parent != workspace.parent_workspace_id
        {
            work.require(Permission::WorkspacesUpdate, On::Tenant)?;
            if let Some(parent) = parent {
                open_for_writing(work, parent, "input.parentId").await?;
            }
            roles::grants::refuse_move(work, id, parent).await?;
        }
        if changes.visibility == Some(Visibility::Tenant) && workspace.visibility == Visibility::Private {
            roles::grants::refuse_opening(work, id).await?;
        }
        changes.name = changes.name.map(|name| name.trim().to_owned());
        work.detail("changed", changes.names());
        write(work, &workspace, changes, "workspace.updated").await
    })
    .await
}

/// Archives a workspace: it can be read and nothing in it can be changed. Those in it stay as they are.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`, `INVALID_STATE` for the default workspace and for one that is archived already;
/// [`Error::Denied`] without `workspaces:archive`.
pub async fn archive(
    services: &Services,
    ctx: &RequestContext,
    id: WorkspaceId,
    version: Option<i32>,
) -> Result<Written<Workspace>, Error> {
    mutation::run(services, ctx, Action::WorkspaceArchive, async |work| {
        let workspace = for_writing(work, id, "input.id", version, Permission::WorkspacesArchive).await?;
        if workspace.is_default {
            let message = "The default workspace cannot be archived.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
        }
        if workspace.archived_at.is_some() {
            let message = "The workspace is archived already.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
        }
        let changes = WorkspaceChanges { archived_at: Some(Some(work.now())), ..WorkspaceChanges::default() };
        write(work, &workspace, changes, "workspace.archived").await
    })
    .await
}

/// Takes a workspace out of the archive.
///
/// # Errors
/// As [`archive`]; `INVALID_STATE` if it is not archived.
pub async fn restore(
    services: &Services,
    ctx: &RequestContext,
    id: WorkspaceId,
    version: Option<i32>,
) -> Result<Written<Workspace>, Error> {
    mutation::run(services, ctx, Action::WorkspaceRestore, async |work| {
        let workspace = for_writing(work, id, "input.id", version, Permission::WorkspacesArchive).await?;
        if workspace.archived_at.is_none() {
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", "The workspace is not archived.").into());
        }
        let changes = WorkspaceChanges { archived_at: Some(None), ..WorkspaceChanges::default() };
        write(work, &workspace, changes, "workspace.restored").await
    })
    .await
}

/// The workspace that something is about to be written into: visible, in use, and it stays so until the commit.
///
/// # Errors
/// `NOT_FOUND` at `path` if the caller may not see it, `INVALID_STATE` if it is archived.
pub async fn open_for_writing(work: &Work<'_>, id: WorkspaceId, path: &str) -> Result<Workspace, Error> {
    let sight = Sight::of_work(work);
    let workspace = store::hold(work.tx, id).await?.filter(|workspace| sight.shows(workspace));
    let workspace = workspace.ok_or_else(|| Problem::not_found(path, "workspace"))?;
    refuse_archived(&workspace, path)?;
    Ok(workspace)
}

fn refuse_archived(workspace: &Workspace, path: &str) -> Result<(), Problem> {
    match workspace.archived_at {
        None => Ok(()),
        Some(_) => {
            Err(Problem::new(UserErrorCode::InvalidState, path, "The workspace is archived. Restore it to change it."))
        }
    }
}

/// The workspace, locked, if the caller may see it, holds the permission on it and knows its version.
pub(super) async fn for_writing(
    work: &Work<'_>,
    id: WorkspaceId,
    path: &str,
    version: Option<i32>,
    permission: Permission,
) -> Result<Workspace, Error> {
    let sight = Sight::of_work(work);
    let workspace = store::lock(work.tx, id).await?.filter(|workspace| sight.shows(workspace));
    let workspace = workspace.ok_or_else(|| Problem::not_found(path, "workspace"))?;
    work.require(permission, On::Workspace(id))?;
    if version.is_some_and(|version| version != workspace.version) {
        return Err(Problem::stale("input.version", workspace.version).into());
    }
    Ok(workspace)
}

async fn write(
    work: &Work<'_>,
    workspace: &Workspace,
    changes: WorkspaceChanges,
    event: &'static str,
) -> Result<Workspace, Error> {
    let written = store::update(work.tx, workspace.id, workspace.version, changes, work.now()).await;
    let workspace = written.map_err(refused)?.ok_or_else(nothing_returned)?;
    about(work, &workspace, event);
    Ok(workspace)
}

/// What the database's own rules say, as the problem of an input.
fn refused(error: DbError) -> Error {
    let problem = match &error {
        DbError::Unique(name) if name == "workspaces_slug" => {
            Problem::new(UserErrorCode::Taken, "input.slug", "Another workspace of this tenant has this slug.")
        }
        DbError::Check(name) if name == "workspaces_tree" || name == "workspaces_not_their_own_parent" => {
            let message = format!("Workspaces nest at most {MAX_DEPTH} deep and not in a circle.");
            Problem::new(UserErrorCode::Invalid, "input.parentId", message)
                .params(serde_json::json!({ "maxDepth": MAX_DEPTH }))
        }
        DbError::Check(name) if name == "tenant_counters_workspaces" => Problem::new(
            UserErrorCode::QuotaExceeded,
            "input",
            "The plan's limit of workspaces is reached. Archived ones count.",
        ),
        DbError::Check(name) if name == "workspaces_settings_check" => {
            Problem::new(UserErrorCode::TooLong, "input.settings", "The settings are too large.")
                .params(serde_json::json!({ "max": super::types::MAX_SETTINGS_BYTES }))
        }
        _ => return error.into(),
    };
    problem.into()
}

fn about(work: &Work<'_>, workspace: &Workspace, event: &'static str) {
    work.target(Target::in_workspace("workspace", workspace.id, workspace.id));
    work.event(Event {
        kind: event,
        workspace: Some(workspace.id),
        subject: workspace.id.uuid(),
        payload: serde_json::json!({ "workspaceId": workspace.id, "version": workspace.version }),
    });
}
