//! The use cases of service accounts.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    loaders::{ServiceAccountById, sees_accounts},
    store::{self, Slice},
    types::{NewServiceAccount, ServiceAccount, ServiceAccountChanges, ServiceAccountStatus},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::DbError,
    domain::{
        Error, Problem, Services, api_keys,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        members,
        mutation::{self, Work, Written},
        reading::ReadScope,
        roles::{
            grants,
            types::{reason_of, reason_problem},
        },
        tasks::service::{nothing_returned, reject},
    },
    graphql::{
        codes::UserErrorCode,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
    },
    ids::{Id, MemberId, ServiceAccountId},
};

/// The service account with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: ServiceAccountId) -> Result<Option<ServiceAccount>, Error> {
    scope.load::<ServiceAccountById>(id).await
}

/// A page of the tenant's service accounts, newest first. One statement, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn list(
    services: &Services,
    scope: &Arc<ReadScope>,
    page: PageRequest,
) -> Result<Page<ServiceAccount>, Error> {
    let ctx = scope.ctx();
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), "Query.serviceAccounts", &(), "created_at-");
    let after = page.cursor.as_deref().map(|cursor| cursors.open::<DateTime<Utc>>(cursor)).transpose()?;
    if !sees_accounts(ctx) {
        return Ok(Page::empty());
    }
    let slice = Slice {
        descending: page.direction == Direction::Forward,
        after: after.map(|cursor| (cursor.values, cursor.id())),
        limit: page.fetch(),
    };
    let rows = store::page(scope.tx().await?, slice).await?;
    let page = Page::of_rows(rows, &page, move |row: &ServiceAccount| cursors.seal(&row.created_at, row.id.uuid()));
    let scope = Arc::clone(scope);
    Ok(page.counted(move || {
        let scope = Arc::clone(&scope);
        async move { count(&scope).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, MAX_COUNTED).await?))
}

/// What somebody says about a new service account.
#[derive(Clone, Debug, Default)]
pub struct ServiceAccountDraft {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The member to ask about it; whoever creates it if nobody is named.
    pub owner: Option<MemberId>,
}

/// Creates a service account that holds no role yet.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input, `TAKEN` for the name of another, `NOT_FOUND` for the owner;
/// [`Error::Denied`] without `service_accounts:write`.
pub async fn create(
    services: &Services,
    ctx: &RequestContext,
    draft: ServiceAccountDraft,
) -> Result<Written<ServiceAccount>, Error> {
    mutation::run(services, ctx, Action::ServiceAccountCreate, async |work| {
        work.require(Permission::ServiceAccountsWrite, On::Tenant)?;
        let ServiceAccountDraft { name, description, owner } = draft;
        let says = ServiceAccountChanges { name: Some(name), description, ..ServiceAccountChanges::default() };
        reject(says.problems())?;
        check_owner(work, owner).await?;
        let says = says.trimmed();
        let new = NewServiceAccount {
            id: ServiceAccountId::new(work.now()),
            name: says.name.unwrap_or_default(),
            description: says.description.unwrap_or_default(),
            owner_member_id: owner.or_else(|| work.membership().and_then(|membership| membership.holder.member())),
            created_at: work.now(),
            updated_at: work.now(),
        };
        let account = store::insert(work.tx, new).await.map_err(refused)?.ok_or_else(nothing_returned)?;
        about(work, &account, "service_account.created");
        Ok(account)
    })
    .await
}

/// Changes a service account that is at `version`.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION` if somebody was faster; as [`create`].
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: ServiceAccountId,
    version: Option<i32>,
    changes: ServiceAccountChanges,
) -> Result<Written<ServiceAccount>, Error> {
    mutation::run(services, ctx, Action::ServiceAccountUpdate, async |work| {
        let account = for_writing(work, id, version).await?;
        reject(changes.problems())?;
        check_owner(work, changes.owner_member_id.flatten()).await?;
        work.detail("changed", changes.names());
        let written = store::update(work.tx, id, account.version, changes.trimmed(), work.now()).await;
        let account = written.map_err(refused)?.ok_or_else(nothing_returned)?;
        about(work, &account, "service_account.updated");
        Ok(account)
    })
    .await
}

/// Disables a service account: its keys are refused from the next request on.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`, `INVALID_STATE` if it is disabled already; [`Error::Denied`] without
/// `service_accounts:write`.
pub async fn disable(
    services: &Services,
    ctx: &RequestContext,
    id: ServiceAccountId,
    version: Option<i32>,
    reason: Option<String>,
) -> Result<Written<ServiceAccount>, Error> {
    mutation::run(services, ctx, Action::ServiceAccountDisable, async |work| {
        switch(work, id, version, reason, ServiceAccountStatus::Disabled).await
    })
    .await
}

/// Enables a service account again, with the roles it has.
///
/// # Errors
/// As [`disable`]; `INVALID_STATE` if it is in use.
pub async fn enable(
    services: &Services,
    ctx: &RequestContext,
    id: ServiceAccountId,
    version: Option<i32>,
    reason: Option<String>,
) -> Result<Written<ServiceAccount>, Error> {
    mutation::run(services, ctx, Action::ServiceAccountEnable, async |work| {
        switch(work, id, version, reason, ServiceAccountStatus::Active).await
    })
    .await
}

async fn switch(
    work: &Work<'_>,
    id: ServiceAccountId,
    version: Option<i32>,
    reason: Option<String>,
    to: ServiceAccountStatus,
) -> Result<ServiceAccount, Error> {
    let account = for_writing(work, id, version).await?;
    reject(reason_problem(reason.as_deref()).into_iter().collect())?;
    let (message, event) = match to {
        ServiceAccountStatus::Active => ("The service account is in use already.", "service_account.enabled"),
        ServiceAccountStatus::Disabled => ("The service account is disabled already.", "service_account.disabled"),
    };
    if account.status == to {
        return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
    }
    let changes = ServiceAccountChanges { status: Some(to), ..ServiceAccountChanges::default() };
    let written = store::update(work.tx, id, account.version, changes, work.now()).await?;
    let account = written.ok_or_else(nothing_returned)?;
    about(work, &account, event);
    changed(work, id, reason);
    Ok(account)
}

/// Deletes a service account with its roles and its keys: they are refused from the next request on.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`; [`Error::Denied`] without `service_accounts:write`.
pub async fn delete(
    services: &Services,
    ctx: &RequestContext,
    id: ServiceAccountId,
    version: Option<i32>,
    reason: Option<String>,
) -> Result<Written<ServiceAccount>, Error> {
    mutation::run(services, ctx, Action::ServiceAccountDelete, async |work| {
        let account = for_writing(work, id, version).await?;
        reject(reason_problem(reason.as_deref()).into_iter().collect())?;
        let keys = api_keys::service::delete_of_service_account(work, id).await?;
        let grants = grants::delete_of_service_account(work, id).await?;
        store::delete(work.tx, id).await?;
        work.detail("apiKeyIds", keys.iter().take(100).collect::<Vec<_>>());
        work.detail("apiKeys", keys.len());
        work.detail("grants", grants);
        about(work, &account, "service_account.deleted");
        changed(work, id, reason);
        Ok(account)
    })
    .await
}

async fn check_owner(work: &Work<'_>, owner: Option<MemberId>) -> Result<(), Error> {
    let Some(owner) = owner else { return Ok(()) };
    let seen = members::service::seen_by_work(work, &[owner]).await?;
    match seen.contains(&owner) && members::service::active_among(work.tx, &[owner]).await?.contains(&owner) {
        true => Ok(()),
        false => Err(Problem::not_found("input.ownerId", "active member").into()),
    }
}

/// The account, locked, if the caller may see and change it and knows its version.
async fn for_writing(work: &Work<'_>, id: ServiceAccountId, version: Option<i32>) -> Result<ServiceAccount, Error> {
    let account = store::lock(work.tx, id).await?.filter(|_| is_seen(work));
    let account = account.ok_or_else(|| Problem::not_found("input.id", "service account"))?;
    work.require(Permission::ServiceAccountsWrite, On::Tenant)?;
    if version.is_some_and(|version| version != account.version) {
        return Err(Problem::stale("input.version", account.version).into());
    }
    Ok(account)
}

fn is_seen(work: &Work<'_>) -> bool {
    work.can(Permission::ServiceAccountsWrite, On::Tenant) || work.can(Permission::ApiKeysRead, On::Tenant)
}

/// The service account with this id, if a mutation sees it. One statement.
///
/// # Errors
/// [`DbError`].
pub(crate) async fn seen_by_work(work: &Work<'_>, id: ServiceAccountId) -> Result<Option<ServiceAccount>, DbError> {
    let found = store::find_many(work.tx, &[id]).await?.into_iter().next();
    Ok(found.filter(|_| is_seen(work)))
}

fn refused(error: DbError) -> Error {
    match error {
        DbError::Unique(name) if name == "service_accounts_name" => {
            let message = "Another service account of this tenant has this name.";
            Problem::new(UserErrorCode::Taken, "input.name", message).into()
        }
        other => other.into(),
    }
}

/// That it acts, or acts no more, is told by the action; what it may do are its grants.
fn changed(work: &Work<'_>, id: ServiceAccountId, reason: Option<String>) {
    work.access_changed(AccessChange {
        reason: reason_of(reason),
        ..AccessChange::of(SubjectKind::ServiceAccount, id)
    });
}

fn about(work: &Work<'_>, account: &ServiceAccount, event: &'static str) {
    work.target(Target::new("service_account", account.id));
    work.event(Event {
        kind: event,
        workspace: None,
        subject: account.id.uuid(),
        payload: serde_json::json!({ "serviceAccountId": account.id, "version": account.version }),
    });
}
