//! The use cases of the roles that a tenant shapes itself: create, copy, change, delete.

use super::{
    service::sees_roles_of_work,
    store,
    types::{self, Role, RoleDraft, RoleEdit, RoleLevel, reason_of, reason_problem},
    weigh::{Weigh, policy_of},
};
use crate::{
    access::{BuiltinRole, On, Permission, escalation::Says},
    context::RequestContext,
    db::DbError,
    domain::{
        Error, Problem, Services,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        mutation::{self, Effect, Work, Written},
        tasks::service::{nothing_returned, reject},
    },
    graphql::codes::UserErrorCode,
    ids::{Id, RoleId},
};

/// Creates a role.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input, `TAKEN` for the key of another role, `NOT_FOUND` for the role to
/// inherit from, `PERMISSION_ESCALATION` for what the caller does not hold in the whole tenant; [`Error::Denied`] without
/// `roles:create`.
pub async fn create(services: &Services, ctx: &RequestContext, draft: RoleDraft) -> Result<Written<Role>, Error> {
    mutation::run(services, ctx, Action::RoleCreate, async |work| {
        work.require(Permission::RolesCreate, On::Tenant)?;
        insert(work, draft, "input.permissions").await
    })
    .await
}

/// Creates a role that says what another says, a built-in one included, and inherits from the same.
///
/// # Errors
/// As [`create`]; `NOT_FOUND` for the role to copy.
pub async fn copy(
    services: &Services,
    ctx: &RequestContext,
    id: RoleId,
    name: String,
    key: Option<String>,
    description: Option<String>,
) -> Result<Written<Role>, Error> {
    mutation::run(services, ctx, Action::RoleCopy, async |work| {
        let role = find(work, id, "input.id").await?;
        work.require(Permission::RolesCreate, On::Tenant)?;
        let says = store::own_policy(work.tx, id).await?;
        let description = description.unwrap_or(role.description);
        let draft = RoleDraft {
            key,
            name,
            description: Some(description),
            level: role.level,
            says,
            inherits: role.inherits_role_id,
        };
        work.detail("copiedFromId", id);
        insert(work, draft, "input.id").await
    })
    .await
}

/// Inserts a role, weighed; `path` is where an escalation comes from.
async fn insert(work: &Work<'_>, draft: RoleDraft, path: &str) -> Result<Role, Error> {
    reject(draft.problems())?;
    let inherited = match draft.inherits {
        None => Says::NOTHING,
        Some(parent) => inheritable(work, parent, draft.level).await?,
    };
    let (own, whole) = (draft.says, draft.says.and(inherited));
    let mut weigh = Weigh::new(work);
    weigh.add(Says::NOTHING, whole, None).await?;
    weigh.refuse(path)?;
    let id = RoleId::new(work.now());
    let key = match &draft.key {
        Some(key) => key.clone(),
        None => free_key(work, &draft.name, id).await?,
    };
    let new = draft.checked(id, key, work.now());
    let role = store::insert(work.tx, new).await.map_err(refused)?.ok_or_else(nothing_returned)?;
    store::set_policy(work.tx, id, own, work.now()).await?;
    about(work, &role, "role.created");
    changed(work, &role, Says::NOTHING, whole, None);
    Ok(role)
}

/// A key for this name that no role has. Changes of rights wait for each other, so it stays free. One statement.
async fn free_key(work: &Work<'_>, name: &str, id: RoleId) -> Result<String, Error> {
    let candidates = types::key_candidates(name);
    let taken = store::taken_among(work.tx, candidates.clone()).await?;
    let free = candidates.into_iter().find(|key| !taken.contains(key));
    // The last characters of the id are random.
    let ending = &id.uuid().simple().to_string()[20..];
    Ok(free.unwrap_or_else(|| types::key_with_ending(&types::derive_key(name), ending)))
}

/// Changes a role that is at `version`.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION` if somebody was faster, `SYSTEM_ROLE_IMMUTABLE`; as [`create`]. What the role newly allows,
/// or no longer denies, also by inheriting from another, must be held by the caller in the whole tenant.
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: RoleId,
    version: i32,
    mut edit: RoleEdit,
) -> Result<Written<Role>, Error> {
    mutation::run(services, ctx, Action::RoleUpdate, async |work| {
        let role = for_writing(work, id, Some(version), Permission::RolesUpdate).await?;
        let own = store::own_policy(work.tx, id).await?;
        let says = Says { allow: edit.allow.unwrap_or(own.allow), deny: edit.deny.unwrap_or(own.deny) };
        reject(edit.problems(says, role.level))?;
        let before = policy_of(work.tx, id).await?;
        let parent = edit.row.inherits_role_id.unwrap_or(role.inherits_role_id);
        let inherited = match parent {
            None => Says::NOTHING,
            Some(parent) if Some(parent) == role.inherits_role_id => policy_of(work.tx, parent).await?,
            Some(parent) => inheritable(work, parent, role.level).await?,
        };
        let after = says.and(inherited);
        // Roles that inherit from this one gain no more than it does itself.
        let mut weigh = Weigh::new(work);
        weigh.add(before, after, None).await?;
        weigh.refuse(if edit.allow.is_some() || edit.deny.is_some() {
            "input.permissions"
        } else {
            "input.inheritsRoleId"
        })?;
        work.detail("changed", edit.names());
        edit.row.name = edit.row.name.map(|name| name.trim().to_owned());
        edit.row.description = edit.row.description.map(|description| description.trim().to_owned());
        let written = store::update(work.tx, id, role.version, edit.row, work.now()).await.map_err(refused)?;
        let role = written.ok_or_else(nothing_returned)?;
        if says != own {
            store::set_policy(work.tx, id, says, work.now()).await?;
        }
        about(work, &role, "role.updated");
        changed(work, &role, before, after, reason_of(edit.reason));
        Ok(role)
    })
    .await
}

/// A role that is gone, and how many grants went to another.
#[derive(Clone, Debug)]
pub struct DeletedRole {
    /// The role as it was.
    pub role: Role,
    /// How many grants are grants of the replacement now.
    pub moved_grants: usize,
}

impl Effect for DeletedRole {
    type Key = RoleId;
    fn key(&self) -> RoleId {
        self.role.id
    }
}

/// Deletes a role. Where it is in use, another must take its place: in grants, which keep their end and their reason, for
/// the roles that inherit from it and as the role of new members.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`, `SYSTEM_ROLE_IMMUTABLE`, `ROLE_IN_USE` without a replacement, `INVALID` for one that cannot
/// be, `PERMISSION_ESCALATION` if somebody gained by it; [`Error::Denied`] without `roles:delete`.
pub async fn delete(
    services: &Services,
    ctx: &RequestContext,
    id: RoleId,
    version: Option<i32>,
    replacement: Option<RoleId>,
    reason: Option<String>,
) -> Result<Written<DeletedRole>, Error> {
    mutation::run(services, ctx, Action::RoleDelete, async |work| {
        let role = for_writing(work, id, version, Permission::RolesDelete).await?;
        reject(reason_problem(reason.as_deref()).into_iter().collect())?;
        let replacement = match replacement {
            None => None,
            Some(other) => Some(replacement_of(work, &role, other).await?),
        };
        let reason = reason_of(reason);
        let places =
            store::grants::places_of_grants(work.tx, id, replacement.as_ref().map(|role| role.id), work.now()).await?;
        let heirs = store::heirs(work.tx, id).await?;
        let is_default = store::is_default(work.tx, id).await?;
        let before = policy_of(work.tx, id).await?;
        let mut moved_grants = 0;
        match &replacement {
            None if !(places.is_empty() && heirs.is_empty() && !is_default) => {
                let message = "The role is in use. Name another that takes its place.";
                let params = serde_json::json!({
                    "isGranted": !places.is_empty(), "inheritingRoles": heirs.len(), "isDefault": is_default,
                });
                return Err(Problem::new(UserErrorCode::RoleInUse, "input.replacementRoleId", message)
                    .params(params)
                    .into());
            }
            None => {}
            Some(other) => {
                if let Some(heir) =
                    heirs.iter().find(|heir| other.level == RoleLevel::Tenant && heir.level != other.level)
                {
                    let message =
                        format!("The role {} is for workspaces and cannot inherit from one of the tenant.", heir.key);
                    return Err(Problem::new(UserErrorCode::Invalid, "input.replacementRoleId", message).into());
                }
                let after = policy_of(work.tx, other.id).await?;
                let mut weigh = Weigh::new(work);
                for place in places {
                    // Who holds the replacement there already, keeps that grant and loses this one.
                    let after = if place.is_twin { Says::NOTHING } else { after };
                    weigh.add(before, after, place.workspace_id).await?;
                }
                if is_default || !heirs.is_empty() {
                    weigh.add(before, after, None).await?;
                }
                weigh.refuse("input.replacementRoleId")?;
                moved_grants = store::grants::move_grants(work.tx, id, other.id, work.now()).await?;
                if !heirs.is_empty() {
                    store::move_heirs(work.tx, id, other.id, work.now()).await.map_err(unfit_replacement)?;
                }
                if is_default {
                    store::set_default(work.tx, other.id, work.now()).await?;
                }
                work.detail("replacementRoleId", other.id);
                work.detail("movedGrants", moved_grants);
                changed(work, &role, before, after, reason.clone());
            }
        }
        // What is left has ended, or its holder has the replacement.
        store::grants::delete_grants_of(work.tx, id).await?;
        let gone = types::RoleChanges { deleted_at: Some(Some(work.now())), ..Default::default() };
        store::update(work.tx, id, role.version, gone, work.now()).await?.ok_or_else(nothing_returned)?;
        about(work, &role, "role.deleted");
        if replacement.is_none() {
            changed(work, &role, before, Says::NOTHING, reason);
        }
        Ok(DeletedRole { role, moved_grants })
    })
    .await
}

/// The role that is to take the place of another.
async fn replacement_of(work: &Work<'_>, role: &Role, other: RoleId) -> Result<Role, Error> {
    let path = "input.replacementRoleId";
    let other = find(work, other, path).await?;
    let problem = match () {
        () if other.id == role.id => "A role cannot take its own place.",
        () if is_owner(&other) => "Owners are made one by one, by an owner.",
        () => return Ok(other),
    };
    Err(Problem::new(UserErrorCode::Invalid, path, problem).into())
}

/// Whether this is the role of the owners.
pub fn is_owner(role: &Role) -> bool {
    role.is_system && role.key == BuiltinRole::Owner.key()
}

/// The role with this id, if the caller sees it.
async fn find(work: &Work<'_>, id: RoleId, path: &str) -> Result<Role, Error> {
    let role = store::find_many(work.tx, &[id]).await?.into_iter().next().filter(|_| sees_roles_of_work(work));
    role.ok_or_else(|| Problem::not_found(path, "role").into())
}

/// What a role of this level would inherit from another.
async fn inheritable(work: &Work<'_>, parent: RoleId, level: RoleLevel) -> Result<Says, Error> {
    let path = "input.inheritsRoleId";
    let role = find(work, parent, path).await?;
    if level == RoleLevel::Workspace && role.level == RoleLevel::Tenant {
        let message = "A role for workspaces inherits from roles for workspaces only.";
        return Err(Problem::new(UserErrorCode::Invalid, path, message).into());
    }
    Ok(policy_of(work.tx, parent).await?)
}

/// The role, locked, if the caller may see it, holds the permission, knows its version and it is not built in.
async fn for_writing(work: &Work<'_>, id: RoleId, version: Option<i32>, permission: Permission) -> Result<Role, Error> {
    let role = store::lock(work.tx, id).await?.filter(|_| sees_roles_of_work(work));
    let role = role.ok_or_else(|| Problem::not_found("input.id", "role"))?;
    work.require(permission, On::Tenant)?;
    if role.is_system {
        let message = "Built-in roles cannot be changed or deleted. Copy it and change the copy.";
        return Err(Problem::new(UserErrorCode::SystemRoleImmutable, "input.id", message).into());
    }
    if version.is_some_and(|version| version != role.version) {
        return Err(Problem::stale("input.version", role.version).into());
    }
    Ok(role)
}

/// What the database's own rules say, as the problem of an input.
fn refused(error: DbError) -> Error {
    let problem = match &error {
        DbError::Unique(name) if name == "roles_key" => {
            Problem::new(UserErrorCode::Taken, "input.key", "Another role of this tenant has this key.")
        }
        DbError::Check(name) if name == "roles_tree" || name == "roles_not_their_own_heir" => {
            let message = format!("Roles inherit at most {} deep and not in a circle.", types::MAX_DEPTH);
            Problem::new(UserErrorCode::Invalid, "input.inheritsRoleId", message)
                .params(serde_json::json!({ "maxDepth": types::MAX_DEPTH }))
        }
        _ => return error.into(),
    };
    problem.into()
}

fn unfit_replacement(error: DbError) -> Error {
    match error {
        DbError::Check(name) if name == "roles_tree" || name == "roles_not_their_own_heir" => {
            let message = "The replacement inherits from the role that is to be deleted, or would nest roles too deep.";
            Problem::new(UserErrorCode::Invalid, "input.replacementRoleId", message).into()
        }
        other => other.into(),
    }
}

fn changed(work: &Work<'_>, role: &Role, before: Says, after: Says, reason: Option<String>) {
    let change = AccessChange { role: Some(role.id), reason, ..AccessChange::of(SubjectKind::Role, role.id) };
    work.access_changed(change.from_to(before, after));
}

fn about(work: &Work<'_>, role: &Role, event: &'static str) {
    work.target(Target::new("role", role.id));
    work.event(Event {
        kind: event,
        workspace: None,
        subject: role.id.uuid(),
        payload: serde_json::json!({ "roleId": role.id, "key": role.key, "version": role.version }),
    });
}
