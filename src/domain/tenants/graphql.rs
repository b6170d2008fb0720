//! The tenant in the API.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::{
    service,
    types::{Settings, SubscriptionState, TenantWithPlan, Usage},
};
use crate::{
    access::Permission::{AuditLogsRead, BillingRead, MembersRead, RolesRead, SettingsRead, TenantRead, UsageRead},
    context::TenantStatus,
    domain::{
        audit::graphql::{self as audit, AuditLogConnection, AuditLogFilter},
        gql::{self, Answer, answer},
        members::graphql::{self as members, MemberConnection, MemberFilter, MemberOrder},
        roles::graphql::{self as roles, RoleConnection, RoleOrder},
    },
    graphql::{
        PageArgs,
        directives::{PAGED, list_size, requires_scopes, tenant_scoped},
        scalars::{DateTime, Json},
    },
};

/// A tenant: everything inside it is seen by its members only.
pub struct TenantNode(pub TenantWithPlan);

/// A tenant: everything inside it is seen by its members only.
#[Object(
    name = "Tenant",
    directive = requires_scopes::apply(TenantRead),
    directive = tenant_scoped::apply()
)]
impl TenantNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.tenant.id.into()
    }

    /// Its slug: how hosts, paths and headers name it.
    async fn slug(&self) -> &str {
        &self.0.tenant.slug
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.tenant.name
    }

    /// Where it stands in its life.
    async fn status(&self) -> TenantStatus {
        self.0.tenant.status
    }

    /// Whether an operator has closed it.
    async fn is_suspended(&self) -> bool {
        self.0.tenant.status == TenantStatus::Suspended
    }

    /// Free values, an object.
    async fn metadata(&self) -> Json {
        Json(self.0.tenant.metadata.clone())
    }

    /// The key of its plan, for example `team`.
    async fn plan(&self) -> &str {
        &self.0.plan
    }

    /// Its subscription.
    #[graphql(directive = requires_scopes::apply(BillingRead))]
    async fn subscription(&self) -> Option<TenantSubscription> {
        let tenant = &self.0.tenant;
        Some(TenantSubscription {
            state: tenant.subscription_state,
            trial_ends_at: tenant.trial_ends_at.map(DateTime),
            current_period_end: tenant.current_period_end.map(DateTime),
        })
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.tenant.created_at)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.tenant.updated_at)
    }

    /// Grows with every change; send it back with yours to notice those of others.
    async fn version(&self) -> i32 {
        self.0.tenant.version
    }

    /// Its settings.
    #[graphql(directive = requires_scopes::apply(SettingsRead))]
    async fn settings(&self, ctx: &Context<'_>) -> Answer<TenantSettings> {
        let found = service::settings(&gql::scope(ctx), self.0.tenant.id).await;
        answer(found.map(|settings| settings.map(TenantSettings::from)))
    }

    /// What it uses, and how much its plan allows.
    #[graphql(directive = requires_scopes::apply(UsageRead))]
    async fn usage(&self, ctx: &Context<'_>) -> Answer<TenantUsage> {
        let found = service::usage(&gql::scope(ctx), self.0.tenant.id).await;
        answer(found.map(|usage| usage.map(TenantUsage::from)))
    }

    /// The members you may see, newest first unless ordered otherwise.
    #[graphql(directive = requires_scopes::apply(MembersRead), directive = list_size::apply(PAGED))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Who are found by this text: 2 to 100 characters; each of its words stands in a name or the \
                          e-mail address, one letter alone at the beginning of a word."
        )]
        search: Option<String>,
        #[graphql(desc = "Which members.")] filter: Option<MemberFilter>,
        #[graphql(desc = "In which order.")] order_by: Option<MemberOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<MemberConnection> {
        let page = PageArgs { first, after, last, before };
        answer(members::connection(ctx, "Tenant.members", search, filter, order_by, page).await)
    }

    /// Its roles, by name unless ordered otherwise.
    #[graphql(directive = requires_scopes::apply(RolesRead), directive = list_size::apply(PAGED))]
    async fn roles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which order.")] order_by: Option<RoleOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<RoleConnection> {
        answer(roles::connection(ctx, "Tenant.roles", order_by, PageArgs { first, after, last, before }).await)
    }

    /// The entries of the audit log that you may see, newest first.
    #[graphql(directive = requires_scopes::apply(AuditLogsRead), directive = list_size::apply(PAGED))]
    async fn audit_logs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which entries.")] filter: Option<AuditLogFilter>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<AuditLogConnection> {
        answer(audit::connection(ctx, "Tenant.auditLogs", filter, PageArgs { first, after, last, before }).await)
    }
}

/// The subscription of a tenant.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantSubscription {
    /// Where it stands.
    state: SubscriptionState,
    /// When the trial ends.
    trial_ends_at: Option<DateTime>,
    /// When the paid period ends.
    current_period_end: Option<DateTime>,
}

/// Settings of a tenant.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantSettings {
    /// The language where a person has chosen none, a BCP 47 tag, for example `en` or `pt-BR`.
    locale: String,
    /// The time zone where a person has chosen none, an IANA name, for example `Europe/Berlin`.
    time_zone: String,
    /// Grows with every change; send it back with yours to notice those of others.
    version: i32,
}

impl From<Settings> for TenantSettings {
    fn from(settings: Settings) -> Self {
        Self { locale: settings.locale, time_zone: settings.time_zone, version: settings.version }
    }
}

/// What a tenant uses, and how much its plan allows.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantUsage {
    /// Members.
    seats: UsageCounter,
    /// Workspaces.
    workspaces: UsageCounter,
    /// API keys that are not revoked.
    api_keys: UsageCounter,
    /// Whether the plan was lowered below the use: nothing can be added until it shrinks.
    is_over_limit: bool,
}

/// A count against a limit.
#[derive(Clone, Debug, SimpleObject)]
pub struct UsageCounter {
    /// How many there are.
    used: i32,
    /// How many there may be; null means any number.
    limit: Option<i32>,
}

impl From<Usage> for TenantUsage {
    fn from(usage: Usage) -> Self {
        Self {
            seats: UsageCounter { used: usage.seats_used, limit: usage.seats_limit },
            workspaces: UsageCounter { used: usage.workspaces_used, limit: usage.workspaces_limit },
            api_keys: UsageCounter { used: usage.api_keys_used, limit: usage.api_keys_limit },
            is_over_limit: usage.is_over_limit,
        }
    }
}

/// Reads of the tenant.
#[derive(Default)]
pub struct TenantsQuery;

#[Object]
impl TenantsQuery {
    /// The tenant of the request.
    #[graphql(directive = requires_scopes::apply(TenantRead), directive = tenant_scoped::apply())]
    async fn tenant(&self, ctx: &Context<'_>) -> Answer<TenantNode> {
        let found = async {
            let id = gql::request(ctx).tenant()?.id;
            Ok(service::find(&gql::scope(ctx), id).await?.map(TenantNode))
        };
        answer(found.await)
    }
}
