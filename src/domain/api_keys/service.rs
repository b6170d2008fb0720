//! The use cases of API keys.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use ipnetwork::IpNetwork;

use super::{
    key::NewKey,
    loaders::{ApiKeyById, place},
    store::{self, Slice},
    types::{
        ApiKey, ApiKeyChanges, ApiKeyDraft, ApiKeyFind, CheckedDraft, DEFAULT_OVERLAP_SECONDS, Issued,
        MAX_OVERLAP_SECONDS, MAX_REASON_CHARS,
    },
};
use crate::{
    access::{On, Permission, PermissionSet, Reach},
    context::{self, GrantHolder, Principal, RequestContext},
    db::{DbError, Scope, Stats},
    domain::{
        Error, Problem, Services,
        audit::{AccessChange, Action, Event, SubjectKind, Target},
        members,
        mutation::{self, Work, Written},
        reading::ReadScope,
        service_accounts::{self, types::ServiceAccountStatus},
    },
    graphql::{
        codes::UserErrorCode,
        connection::{Direction, MAX_COUNTED, Page, PageRequest},
    },
    ids::{ApiKeyId, Id, MemberId, ServiceAccountId, TenantId, WorkspaceId},
    limits::KeyRate,
};

/// Why a key was revoked, if nobody said.
const REVOKED: &str = "revoked";

/// The key with this id, if the caller may see it.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn find(scope: &ReadScope, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    scope.load::<ApiKeyById>(id).await
}

/// A page of the keys that the caller may see, newest first. Two statements, one more if `totalCount` is selected.
///
/// # Errors
/// `INVALID_CURSOR`; [`Error::Db`].
pub async fn list(
    services: &Services,
    scope: &Arc<ReadScope>,
    find: ApiKeyFind,
    page: PageRequest,
) -> Result<Page<ApiKey>, Error> {
    let ctx = scope.ctx();
    let (reach, now) = (ctx.reach(Permission::ApiKeysRead), ctx.now());
    let cursors = services.cursors.list(Some(ctx.tenant()?.id), "Query.apiKeys", &find, "created_at-");
    let after = page.cursor.as_deref().map(|cursor| cursors.open::<DateTime<Utc>>(cursor)).transpose()?;
    let slice = Slice {
        descending: page.direction == Direction::Forward,
        after: after.map(|cursor| (cursor.values, cursor.id())),
        limit: page.fetch(),
    };
    let rows = store::page(scope.tx().await?, &find, &reach, now, slice).await?;
    let page = Page::of_rows(rows, &page, move |key: &ApiKey| cursors.seal(&key.created_at, key.id.uuid()));
    let scope = Arc::clone(scope);
    Ok(page.counted(move || {
        let (reach, scope) = (reach.clone(), Arc::clone(&scope));
        async move { count(&scope, &find, &reach, now).await.map_err(Error::into_api) }
    }))
}

async fn count(scope: &ReadScope, find: &ApiKeyFind, reach: &Reach, now: DateTime<Utc>) -> Result<Option<i64>, Error> {
    Ok(Some(store::count(scope.tx().await?, find, reach, now, MAX_COUNTED).await?))
}

/// Makes a key, owned by whoever asks (for an operator: by the member that the draft names).
///
/// # Errors
/// [`Error::Rejected`] with every problem of the input, `PERMISSION_ESCALATION` for scopes that the caller lacks there,
/// `QUOTA_EXCEEDED`; [`Error::Denied`] without `api_keys:create` there.
pub async fn create(services: &Services, ctx: &RequestContext, draft: ApiKeyDraft) -> Result<Written<Issued>, Error> {
    mutation::run(services, ctx, Action::ApiKeyCreate, async |work| {
        let draft = draft.check(work.now(), services.principal_rate).map_err(Error::Rejected)?;
        let on = draft.workspace.map_or(On::Tenant, On::Workspace);
        if let Some(workspace) = draft.workspace {
            check_workspace(work, workspace).await?;
        }
        work.require(Permission::ApiKeysCreate, on)?;
        let owner = owner(work, &draft).await?;
        check_scopes(work, draft.scopes, draft.workspace, owner).await?;
        check_own_limits(work, draft.expires_at, &draft.allowed_networks, draft.rate).await?;
        let fresh = fresh_key(services)?;
        let now = work.now();
        let key = ApiKey {
            id: ApiKeyId::new(now),
            name: draft.name,
            prefix: services.identity.api_keys().format().prefix().to_owned(),
            hint: fresh.hint.clone(),
            owner,
            workspace: draft.workspace,
            scopes: draft.scopes.iter().collect(),
            allowed_networks: draft.allowed_networks,
            rate: draft.rate,
            expires_at: draft.expires_at,
            last_used_at: None,
            revoked_at: None,
            revoked_reason: None,
            rotated_from: None,
            overlap_until: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        issue(work, key, fresh, "api_key.created").await
    })
    .await
}

/// Makes a key that takes the place of another; both work until the overlap is over.
///
/// The scopes are checked as if the new key were being created: whoever rotates a key gets hold of what it may do.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`, `INVALID_STATE` for a key that is not in use or was rotated before, `OUT_OF_RANGE`,
/// `PERMISSION_ESCALATION`; [`Error::Denied`] without `api_keys:rotate` there.
pub async fn rotate(
    services: &Services,
    ctx: &RequestContext,
    id: ApiKeyId,
    version: Option<i32>,
    overlap_seconds: Option<i32>,
) -> Result<Written<Issued>, Error> {
    let overlap_seconds = overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    mutation::run(services, ctx, Action::ApiKeyRotate, async |work| {
        if !(0..=MAX_OVERLAP_SECONDS).contains(&overlap_seconds) {
            let message = format!("Both keys work together for at most {MAX_OVERLAP_SECONDS} seconds.");
            return Err(Problem::new(UserErrorCode::OutOfRange, "input.overlapSeconds", message)
                .params(serde_json::json!({ "min": 0, "max": MAX_OVERLAP_SECONDS }))
                .into());
        }
        let old = for_writing(work, id, version, Permission::ApiKeysRotate).await?;
        let now = work.now();
        if !old.is_active(now) || old.overlap_until.is_some() {
            let message = "The key is not in use any more, or has a successor already.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
        }
        if !context::is_active(work.tx, old.owner).await? {
            let message = "The key's owner is suspended or gone. Create a key of your own.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
        }
        check_scopes(work, old.scopes.iter().copied().collect(), old.workspace, old.owner).await?;
        check_own_limits(work, old.expires_at, &old.allowed_networks, old.rate).await?;
        // The old one first: from then on it does not count against the limit.
        store::set_overlap(work.tx, &old, now + Duration::seconds(overlap_seconds.into()), now).await?;
        let fresh = fresh_key(services)?;
        let key = ApiKey {
            id: ApiKeyId::new(now),
            prefix: services.identity.api_keys().format().prefix().to_owned(),
            hint: fresh.hint.clone(),
            last_used_at: None,
            rotated_from: Some(old.id),
            version: 1,
            created_at: now,
            updated_at: now,
            ..old
        };
        work.detail("rotatedFromId", id);
        work.detail("overlapSeconds", overlap_seconds);
        issue(work, key, fresh, "api_key.rotated").await
    })
    .await
}

/// Changes a key's name, its networks, or brings its end forward. Its scopes stay: another set of rights is another key.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`, `INVALID_STATE` for a key that is not in use, every problem of the input, `OUT_OF_RANGE`
/// for a later end; `PERMISSION_ESCALATION` for a key that would give another more than it has itself;
/// [`Error::Denied`] without `api_keys:create` there.
pub async fn update(
    services: &Services,
    ctx: &RequestContext,
    id: ApiKeyId,
    version: Option<i32>,
    changes: ApiKeyChanges,
) -> Result<Written<ApiKey>, Error> {
    mutation::run(services, ctx, Action::ApiKeyUpdate, async |work| {
        let old = for_writing(work, id, version, Permission::ApiKeysCreate).await?;
        if !old.is_active(work.now()) {
            let message = "The key is not in use any more.";
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", message).into());
        }
        let said = [
            ("name", changes.name.is_some()),
            ("allowedCidrs", changes.allowed_cidrs.is_some()),
            ("expiresAt", changes.expires_at.is_some()),
        ];
        let key = changes.apply(old, work.now()).map_err(Error::Rejected)?;
        check_own_limits(work, key.ends_at(), &key.allowed_networks, key.rate).await?;
        store::update(work.tx, &key).await?;
        work.detail("changed", said.into_iter().filter(|(_, said)| *said).map(|(name, _)| name).collect::<Vec<_>>());
        about(work, &key, "api_key.updated");
        changed(work, &key, (PermissionSet::EMPTY, PermissionSet::EMPTY), None);
        Ok(key)
    })
    .await
}

/// Revokes the keys of a member who is none any more, and gives their ids.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub(crate) async fn revoke_of(
    work: &Work<'_>,
    owner: MemberId,
    reason: &'static str,
) -> Result<Vec<ApiKeyId>, DbError> {
    let keys = store::revoke_of(work.tx, owner, reason, work.now()).await?;
    for key in &keys {
        let change = AccessChange { reason: Some(reason.to_owned()), ..AccessChange::of(SubjectKind::ApiKey, *key) };
        work.access_changed(change);
    }
    Ok(keys)
}

/// Revokes a key: refused from the next request on.
///
/// # Errors
/// `NOT_FOUND`, `STALE_VERSION`, `INVALID_STATE` if it was revoked before; [`Error::Denied`] without `api_keys:revoke`
/// there.
pub async fn revoke(
    services: &Services,
    ctx: &RequestContext,
    id: ApiKeyId,
    version: Option<i32>,
    reason: Option<String>,
) -> Result<Written<ApiKey>, Error> {
    mutation::run(services, ctx, Action::ApiKeyRevoke, async |work| {
        let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let reason = reason.unwrap_or_else(|| REVOKED.to_owned());
        if reason.chars().count() > MAX_REASON_CHARS {
            let message = format!("A reason has at most {MAX_REASON_CHARS} characters.");
            return Err(Problem::new(UserErrorCode::TooLong, "input.reason", message)
                .params(serde_json::json!({ "max": MAX_REASON_CHARS }))
                .into());
        }
        let key = for_writing(work, id, version, Permission::ApiKeysRevoke).await?;
        if key.revoked_at.is_some() {
            return Err(Problem::new(UserErrorCode::InvalidState, "input.id", "The key is revoked already.").into());
        }
        let now = work.now();
        store::revoke(work.tx, &key, reason.clone(), now).await?;
        about(work, &key, "api_key.revoked");
        changed(work, &key, (PermissionSet::EMPTY, scopes_of(&key)), Some(reason.clone()));
        let version = key.version + 1;
        Ok(ApiKey { revoked_at: Some(now), revoked_reason: Some(reason), version, updated_at: now, ..key })
    })
    .await
}

/// Notes that a key was used: at most once a minute, in a short transaction of its own that no answer waits for.
pub fn touch(services: &Services, tenant: TenantId, key: ApiKeyId, ctx: &RequestContext) {
    let now = ctx.now();
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if !services.identity.api_keys().should_touch(key, now) {
        return;
    }
    let db = services.db.clone();
    // The request's own counters are closed by the time this is written.
    let scope = Scope { tenant, user: None, actor: None, request: ctx.request, stats: Arc::new(Stats::default()) };
    runtime.spawn(async move {
        let written = async {
            let tx = db.begin(&scope).await?;
            store::touch(&tx, key, now, now - super::door::TOUCH_EVERY).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            tracing::warn!(error = %crate::domain::error::chain(&error), "the last use of an API key was not noted");
        }
    });
}

/// Inserts the key; the constraint on the counter refuses one too many.
async fn issue(work: &Work<'_>, key: ApiKey, fresh: NewKey, event: &'static str) -> Result<Issued, Error> {
    work.tx.attempt(store::insert(work.tx, &key, fresh.hash)).await.map_err(|error| match error {
        DbError::Check(name) if name == "tenant_counters_api_keys" => {
            let message = "The tenant has as many API keys as its plan allows. Revoke one first.";
            Problem::new(UserErrorCode::QuotaExceeded, "input", message).into()
        }
        other => Error::from(other),
    })?;
    work.detail("scopes", &key.scopes);
    about(work, &key, event);
    changed(work, &key, (scopes_of(&key), PermissionSet::EMPTY), None);
    Ok(Issued { key, secret: Some(fresh.secret) })
}

fn fresh_key(services: &Services) -> Result<NewKey, Error> {
    let fresh = services.identity.api_keys().format().generate();
    fresh.map_err(|error| Error::Broken(format!("the operating system gave no random bytes: {error}")))
}

/// The key, locked, if the caller may see it, holds the permission and knows its version.
async fn for_writing(
    work: &Work<'_>,
    id: ApiKeyId,
    version: Option<i32>,
    permission: Permission,
) -> Result<ApiKey, Error> {
    let key = store::lock(work.tx, id).await?.filter(|key| work.can(Permission::ApiKeysRead, place(key)));
    let key = key.ok_or_else(|| Problem::not_found("input.id", "API key"))?;
    work.require(permission, place(&key))?;
    if version.is_some_and(|version| version != key.version) {
        return Err(Problem::stale("input.version", key.version).into());
    }
    Ok(key)
}

async fn check_workspace(work: &Work<'_>, workspace: WorkspaceId) -> Result<(), Error> {
    let path = "input.workspaceId";
    let found = store::workspace_is_archived(work.tx, workspace).await?;
    match found.filter(|_| work.can(Permission::WorkspacesRead, On::Workspace(workspace))) {
        Some(false) => Ok(()),
        Some(true) => {
            let message = "The workspace is archived.";
            Err(Problem::new(UserErrorCode::InvalidState, path, message).into())
        }
        None => Err(Problem::not_found(path, "workspace").into()),
    }
}

/// Deletes every key of a service account that is about to be deleted, and gives their ids: [`KeyDoor::forget`] them after
/// the commit. Two statements.
///
/// [`KeyDoor::forget`]: super::door::KeyDoor::forget
///
/// # Errors
/// [`DbError`].
pub(crate) async fn delete_of_service_account(
    work: &Work<'_>,
    account: ServiceAccountId,
) -> Result<Vec<ApiKeyId>, DbError> {
    store::delete_of_service_account(work.tx, account).await
}

/// On whose behalf the new key acts: of a service account only for those who look after service accounts.
async fn owner(work: &Work<'_>, draft: &CheckedDraft) -> Result<GrantHolder, Error> {
    if let Some(account) = draft.service_account {
        let path = "input.serviceAccountId";
        let found = service_accounts::service::seen_by_work(work, account).await?;
        let found = found.ok_or_else(|| Problem::not_found(path, "service account"))?;
        work.require(Permission::ServiceAccountsWrite, On::Tenant)?;
        if found.status != ServiceAccountStatus::Active {
            let message = "The service account is disabled. Enable it first.";
            return Err(Problem::new(UserErrorCode::InvalidState, path, message).into());
        }
        return Ok(GrantHolder::ServiceAccount(account));
    }
    if let Some(membership) = work.membership() {
        return Ok(membership.holder);
    }
    let path = "input.ownerId";
    let Some(owner) = draft.owner else {
        return Err(Problem::new(UserErrorCode::Required, path, "Name the member whom the key belongs to.").into());
    };
    match members::service::active_among(work.tx, &[owner]).await?.contains(&owner) {
        true => Ok(GrantHolder::Member(owner)),
        false => Err(Problem::not_found(path, "active member").into()),
    }
}

/// Refuses scopes that the caller does not hold where the key would count.
///
/// A key is cut by the rights of its owner anyway. So it is enough that the caller holds a scope at the place of a key
/// of their own; of somebody else's key it must be held, with what it implies, in every workspace that the key reaches.
async fn check_scopes(
    work: &Work<'_>,
    scopes: PermissionSet,
    workspace: Option<WorkspaceId>,
    owner: GrantHolder,
) -> Result<(), Error> {
    let Some(membership) = work.membership() else { return Ok(()) }; // an operator
    let rights = &membership.rights;
    let on = workspace.map_or(On::Tenant, On::Workspace);
    let missing: PermissionSet = if membership.holder == owner {
        scopes.iter().filter(|scope| !rights.allows(*scope, on)).collect()
    } else {
        let below = match workspace {
            Some(workspace) => context::subtree(work.tx, workspace).await?,
            None => std::collections::HashSet::new(),
        };
        let is_held = |scope: Permission| match workspace {
            Some(_) => below.iter().all(|place| rights.allows(scope, On::Workspace(*place))),
            None if PermissionSet::WORKSPACE.contains(scope) => rights.workspaces_with(scope) == Reach::All,
            None => true,
        };
        scopes.closure().iter().filter(|scope| !rights.allows(*scope, on) || !is_held(*scope)).collect()
    };
    if missing.is_empty() {
        return Ok(());
    }
    let message = "You cannot give a key rights that you do not have there.";
    Err(escalation("input.scopes", message, serde_json::json!({ "missing": missing })))
}

/// A key makes no key that outlives it, is used from elsewhere, or may ask for more.
async fn check_own_limits(
    work: &Work<'_>,
    expires_at: Option<DateTime<Utc>>,
    networks: &[IpNetwork],
    rate: Option<KeyRate>,
) -> Result<(), Error> {
    let Principal::ApiKey { key, .. } = &work.ctx.principal else { return Ok(()) };
    let own = store::find_many(work.tx, &[*key]).await?.into_iter().next();
    let own = own.ok_or_else(|| Error::Broken(format!("{key} is used and not there")))?;
    if let Some(end) = own.ends_at()
        && expires_at.is_none_or(|wanted| end < wanted)
    {
        let message = "A key cannot make one that outlives it.";
        return Err(escalation("input.expiresAt", message, serde_json::json!({ "max": end })));
    }
    let is_within = |network: &IpNetwork| own.allowed_networks.iter().any(|own| encloses(own, network));
    if !own.allowed_networks.is_empty() && (networks.is_empty() || !networks.iter().all(is_within)) {
        let message = "A key cannot make one that is used from other networks.";
        let within: Vec<_> = own.allowed_networks.iter().map(ToString::to_string).collect();
        return Err(escalation("input.allowedCidrs", message, serde_json::json!({ "within": within })));
    }
    if let Some(own) = own.rate
        && rate.is_none_or(|rate| rate.capacity > own.capacity || rate.refill_per_second > own.refill_per_second)
    {
        let message = "A key cannot make one that may ask for more.";
        let max = serde_json::json!({ "capacity": own.capacity, "refillPerSecond": own.refill_per_second });
        return Err(escalation("input.rateLimit", message, serde_json::json!({ "max": max })));
    }
    Ok(())
}

fn encloses(outer: &IpNetwork, inner: &IpNetwork) -> bool {
    outer.is_ipv4() == inner.is_ipv4() && outer.prefix() <= inner.prefix() && outer.contains(inner.network())
}

fn escalation(path: &str, message: &str, params: serde_json::Value) -> Error {
    Problem::new(UserErrorCode::PermissionEscalation, path, message).params(params).into()
}

fn scopes_of(key: &ApiKey) -> PermissionSet {
    key.scopes.iter().copied().collect()
}

/// What the key was issued for, gained or lost; what it may do is that cut by its owner's rights.
fn changed(work: &Work<'_>, key: &ApiKey, (gained, lost): (PermissionSet, PermissionSet), reason: Option<String>) {
    work.access_changed(AccessChange {
        workspace: key.workspace,
        gained,
        lost,
        expires_at: key.ends_at(),
        reason,
        ..AccessChange::of(SubjectKind::ApiKey, key.id)
    });
}

fn about(work: &Work<'_>, key: &ApiKey, event: &'static str) {
    work.target(match key.workspace {
        Some(workspace) => Target::in_workspace("api_key", key.id, workspace),
        None => Target::new("api_key", key.id),
    });
    work.event(Event {
        kind: event,
        workspace: key.workspace,
        subject: key.id.uuid(),
        payload: serde_json::json!({ "apiKeyId": key.id, "rotatedFromId": key.rotated_from, "ownerId": key.owner }),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_encloses_its_parts_only() {
        let network = |text: &str| text.parse::<IpNetwork>().expect("a network");
        let outer = network("10.1.0.0/16");
        for inside in ["10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32"] {
            assert!(encloses(&outer, &network(inside)), "{inside}");
        }
        for outside in ["10.0.0.0/8", "10.2.0.0/24", "0.0.0.0/0", "::/0", "::a01:0/128"] {
            assert!(!encloses(&outer, &network(outside)), "{outside}");
        }
    }
}
