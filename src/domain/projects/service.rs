//! The use cases of projects.

use diesel::{ExpressionMethods, QueryDsl, SelectableHelper};

use super::types::{Project, ProjectState};
use crate::{
    access::{On, Permission},
    db::tables::projects,
    domain::{Error, Problem, mutation::Work},
    graphql::codes::UserErrorCode,
    ids::ProjectId,
};

/// The project that something is about to be written into: visible, active, and it stays so until the commit.
///
/// # Errors
/// `NOT_FOUND` at `path` if the caller may not see it, `INVALID_STATE` if it is archived.
pub async fn open_for_writing(work: &Work<'_>, id: ProjectId, path: &str) -> Result<Project, Error> {
    let project: Option<Project> = projects::in_tenant(work.tx)
        .filter(projects::id.eq(id))
        .select(Project::as_select())
        .for_share()
        .first()
        .await?;
    let project = project.filter(|project| work.can(Permission::ProjectsRead, On::Workspace(project.workspace_id)));
    let project = project.ok_or_else(|| Problem::not_found(path, "project"))?;
    match project.state {
        ProjectState::Active => Ok(project),
        ProjectState::Archived => {
            Err(Problem::new(UserErrorCode::InvalidState, path, "The project is archived. Nothing can be added to it.")
                .into())
        }
    }
}
