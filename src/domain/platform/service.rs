//! The use cases of operators.

use std::sync::Arc;

use super::{
    store,
    types::{AddedMember, ChangedTenant, CreatedTenant, NewTenant, TenantLine},
};
use crate::{
    access::escalation::Says,
    context::{Door, Principal, RequestContext, Tenant, TenantName, TenantStatus},
    db::{DbError, PlatformTx, Stats},
    domain::{
        Error, Problem, Services,
        audit::{AccessChange, Action, SubjectKind, Target},
        mutation::{self, Written},
        roles,
    },
    graphql::codes::UserErrorCode,
    ids::{MemberId, RequestId, TenantId, UserId, WorkspaceId},
    limits::PlanLimits,
};

/// The context of an operator's command at the command line.
pub fn operator(services: &Services, label: &str, tenant: Option<Tenant>) -> RequestContext {
    RequestContext {
        principal: Principal::Operator { label: label.to_owned() },
        tenant,
        membership: None,
        clock: services.clock.clone(),
        request: RequestId::new(services.clock.now()),
        stats: Arc::new(Stats::default()),
        client_address: None,
        user_agent: None,
        operation_name: None,
        idempotency: None,
        door: Door::Cli,
    }
}

/// The tenant with this slug or id, whatever its status.
///
/// # Errors
/// `NOT_FOUND`; [`Error::Db`].
pub async fn tenant_named(services: &Services, name: &str) -> Result<Tenant, Error> {
    let wanted = name.parse().map_or_else(|_| TenantName::Slug(name.to_owned()), TenantName::Id);
    let stats = Arc::new(Stats::default());
    let found = services.tenants.find(&services.db, wanted, services.clock.now(), &stats).await?;
    let message = format!("There is no tenant {name}. `tenantry tenant list` shows them all.");
    found.ok_or_else(|| Problem::new(UserErrorCode::NotFound, "tenant", message).into())
}

/// The person with this verified address.
///
/// # Errors
/// `NOT_FOUND`; [`Error::Db`].
pub async fn user_with_email(services: &Services, label: &str, email_norm: &str) -> Result<UserId, Error> {
    let ctx = operator(services, label, None);
    let tx = services.db.platform(ctx.request, &ctx.stats).await?;
    let found = store::find_user(&tx, email_norm.to_owned()).await?;
    tx.commit().await?;
    let message = "There is no person with this verified address. Create one with `tenantry user create`.";
    found.ok_or_else(|| Problem::new(UserErrorCode::NotFound, "email", message).into())
}

/// The active member that this person is in the tenant.
///
/// # Errors
/// `NOT_FOUND`; [`Error::Db`].
pub async fn member_of(services: &Services, label: &str, tenant: Tenant, user: UserId) -> Result<MemberId, Error> {
    let ctx = operator(services, label, Some(tenant));
    let tx = services.db.begin_as_operator(&ctx.scope()?).await?;
    let found = store::find_member(&tx, user).await?;
    tx.commit().await?;
    let message = "The person is no active member of this tenant.";
    found.ok_or_else(|| Problem::new(UserErrorCode::NotFound, "owner", message).into())
}

/// Creates a complete tenant with its first owner; all or nothing, with an entry in its audit log.
///
/// # Errors
/// `TAKEN`, `RESERVED` or `INVALID` slug, unknown plan; [`Error::Db`].
pub async fn tenant_create(services: &Services, label: &str, new: NewTenant) -> Result<CreatedTenant, Error> {
    let now = services.clock.now();
    let tenant = Tenant {
        id: TenantId::new(now),
        slug: new.slug.as_str().into(),
        status: TenantStatus::Active,
        limits: PlanLimits::default(),
        rights_version: 0,
    };
    let ids = CreatedTenant { tenant: tenant.id, owner: MemberId::new(now), workspace: WorkspaceId::new(now) };
    let ctx = operator(services, label, Some(tenant));
    let slug = new.slug.clone();
    let written = mutation::run(services, &ctx, Action::TenantCreate, async |work| {
        store::create_tenant(work.tx, new, &ids, work.now()).await.map_err(|error| not_created(error, &slug))?;
        work.target(Target::new("tenant", ids.tenant));
        work.detail("slug", &slug);
        Ok(ids)
    })
    .await?;
    Ok(match written {
        Written::Now(created) | Written::Replayed(created) => created,
    })
}

fn not_created(error: DbError, slug: &str) -> Error {
    let problem = |code, message: String| Problem::new(code, "slug", message).into();
    match error {
        DbError::Unique(name) if name.starts_with("tenants_slug") || name.starts_with("slug_history") => {
            problem(UserErrorCode::Taken, format!("The slug {slug} is taken, or was released less than 90 days ago."))
        }
        DbError::Check(name) if name == "tenants_slug_reserved" => {
            problem(UserErrorCode::Reserved, format!("The slug {slug} is kept for the system."))
        }
        DbError::Check(name) if name == "tenants_slug_form" => problem(
            UserErrorCode::Invalid,
            format!("{slug} is no slug: 1 to 63 lower-case letters, digits and dashes, no dash at either end."),
        ),
        DbError::ForeignKey(name) if name == "tenants_plan_id_fkey" => {
            Problem::new(UserErrorCode::NotFound, "plan", "There is no such plan.").into()
        }
        other => other.into(),
    }
}

/// Records in `platform_audit` what an operator did outside of any tenant, in the transaction that did it.
///
/// # Errors
/// [`DbError`].
pub(crate) async fn record(
    tx: &PlatformTx,
    ctx: &RequestContext,
    label: &str,
    action: &'static str,
    detail: serde_json::Value,
) -> Result<(), DbError> {
    store::record(tx, ctx.now(), label.to_owned(), action, ctx.request, detail).await
}

/// Tenants by slug, at most `limit`, behind `after`; recorded in `platform_audit`.
///
/// # Errors
/// [`Error::Db`].
pub async fn tenant_list(services: &Services, label: &str, after: &str, limit: i64) -> Result<Vec<TenantLine>, Error> {
    let ctx = operator(services, label, None);
    let tx = services.db.platform(ctx.request, &ctx.stats).await?;
    let lines = store::list(&tx, after.to_owned(), limit).await?;
    let detail = serde_json::json!({ "rows": lines.len() });
    store::record(&tx, ctx.now(), label.to_owned(), "tenant.list", ctx.request, detail).await?;
    tx.commit().await?;
    Ok(lines)
}

/// Closes a tenant: every request is refused from then on.
///
/// # Errors
/// `INVALID_STATE` if it is not active; [`Error::Db`].
pub async fn tenant_suspend(services: &Services, label: &str, tenant: Tenant, reason: String) -> Result<(), Error> {
    change_status(services, label, tenant, Action::TenantSuspend, "active", "suspended", Some(reason)).await
}

/// Opens a suspended tenant again.
///
/// # Errors
/// `INVALID_STATE` if it is not suspended; [`Error::Db`].
pub async fn tenant_resume(services: &Services, label: &str, tenant: Tenant) -> Result<(), Error> {
    change_status(services, label, tenant, Action::TenantResume, "suspended", "active", None).await
}

async fn change_status(
    services: &Services,
    label: &str,
    tenant: Tenant,
    action: Action,
    from: &'static str,
    to: &'static str,
    reason: Option<String>,
) -> Result<(), Error> {
    let id = tenant.id;
    let ctx = operator(services, label, Some(tenant));
    mutation::run(services, &ctx, action, async |work| {
        let suspended = reason.map(|reason| (work.now(), reason));
        if store::change_status(work.tx, from, to, suspended, work.now()).await? == 0 {
            let message = format!("The tenant is not {from}.");
            return Err(Problem::new(UserErrorCode::InvalidState, "tenant", message).into());
        }
        work.target(Target::new("tenant", id));
        Ok(ChangedTenant(id))
    })
    .await?;
    services.tenants.forget(id).await;
    Ok(())
}

/// Makes a person a member with these roles, tenant-wide or on one workspace.
///
/// # Errors
/// `ALREADY_MEMBER`, `SEAT_LIMIT_REACHED`, `NOT_FOUND` for a role; [`Error::Db`].
pub async fn member_add(
    services: &Services,
    label: &str,
    tenant: Tenant,
    user: UserId,
    role_keys: Vec<String>,
    workspace: Option<WorkspaceId>,
) -> Result<MemberId, Error> {
    let ctx = operator(services, label, Some(tenant));
    let written = mutation::run(services, &ctx, Action::MemberAdd, async |work| {
        let known = store::roles_by_key(work.tx, &role_keys).await?;
        if let Some(unknown) = role_keys.iter().find(|key| known.iter().all(|(known, _)| known != *key)) {
            let message = format!("The tenant has no role {unknown}.");
            return Err(Problem::new(UserErrorCode::NotFound, "role", message).into());
        }
        let member = MemberId::new(work.now());
        store::insert_member(work.tx, member, user, work.now()).await.map_err(not_added)?;
        for (_, role) in known {
            store::insert_grant(work.tx, member, role, workspace, work.now()).await?;
            let says = roles::weigh::policy_of(work.tx, role).await?;
            let change = AccessChange { role: Some(role), workspace, ..AccessChange::of(SubjectKind::Member, member) };
            work.access_changed(change.from_to(Says::NOTHING, says));
        }
        work.target(Target::new("member", member));
        work.detail("roles", &role_keys);
        Ok(AddedMember(member))
    })
    .await?;
    Ok(match written {
        Written::Now(AddedMember(member)) | Written::Replayed(member) => member,
    })
}

fn not_added(error: DbError) -> Error {
    match error {
        DbError::Unique(name) if name == "members_user" => {
            Problem::new(UserErrorCode::AlreadyMember, "email", "The person is a member already.").into()
        }
        DbError::Check(name) if name == "tenant_counters_seats" => {
            Problem::new(UserErrorCode::SeatLimitReached, "tenant", "All seats of the plan are taken.").into()
        }
        other => other.into(),
    }
}
