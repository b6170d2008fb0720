//! API keys in the API.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use secrecy::ExposeSecret;

use super::{
    service,
    types::{ApiKey, ApiKeyChanges, ApiKeyDraft, ApiKeyFind, Issued},
};
use crate::{
    access::{
        Permission,
        Permission::{ApiKeysCreate, ApiKeysRead, ApiKeysRevoke, ApiKeysRotate, MembersRead},
    },
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Ahead, Answer, answer},
        members::{self, graphql::MemberNode},
        service_accounts::{self, graphql::ServiceAccountNode, loaders::ServiceAccountById},
    },
    graphql::{
        PageArgs, UserError,
        directives::{PAGED, audited, cost, list_size, requires_scopes, sensitive, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::ApiKeyId,
};

/// An API key, without its secret.
pub struct ApiKeyNode(pub ApiKey);

/// An API key of the tenant, for programs. Its secret is shown once, when it is made.
#[Object(
    name = "ApiKey",
    directive = requires_scopes::apply(ApiKeysRead),
    directive = tenant_scoped::apply()
)]
impl ApiKeyNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// What people call it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it begins with, for example `tnk_live`.
    async fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Its last four characters, to tell keys apart.
    async fn hint(&self) -> &str {
        &self.0.hint
    }

    /// The member on whose behalf it acts; null for a key of a service account, or if you may not see the member.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn owner(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let owner = self.0.owner.member()?;
        answer(members::service::find(&gql::scope(ctx), owner).await.map(|found| found.map(MemberNode)))
    }

    /// The service account that it acts for; null for a key of a member.
    async fn service_account(&self, ctx: &Context<'_>) -> Answer<ServiceAccountNode> {
        let account = self.0.owner.service_account()?;
        let found = service_accounts::service::find(&gql::scope(ctx), account).await;
        answer(found.map(|found| found.map(ServiceAccountNode)))
    }

    /// What it was issued for. It may do this as far as its owner may.
    #[graphql(directive = list_size::apply(20))]
    async fn scopes(&self) -> &[Permission] {
        &self.0.scopes
    }

    /// The workspace it is restricted to, with those below it; null is the whole tenant.
    async fn workspace_id(&self) -> Option<ID> {
        self.0.workspace.map(ID::from)
    }

    /// The networks from which it may be used, for example `10.0.0.0/8`; empty means from anywhere.
    #[graphql(directive = list_size::apply(10))]
    async fn allowed_cidrs(&self) -> Vec<String> {
        self.0.allowed_networks.iter().map(ToString::to_string).collect()
    }

    /// Its own limit, lower than the one that every principal has; null if it has none.
    #[graphql(directive = cost::apply(0))]
    async fn rate_limit(&self) -> Option<ApiKeyRateLimit> {
        let figure = |figure: u32| i32::try_from(figure).unwrap_or(i32::MAX);
        self.0.rate.map(|rate| ApiKeyRateLimit {
            capacity: figure(rate.capacity),
            refill_per_second: figure(rate.refill_per_second),
        })
    }

    /// When it ends; null means never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// When it was last used, to about a minute.
    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used_at.map(DateTime)
    }

    /// When it was revoked.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(DateTime)
    }

    /// Why it was revoked.
    async fn revoked_reason(&self) -> Option<&str> {
        self.0.revoked_reason.as_deref()
    }

    /// Another key takes its place and is the only one from then on.
    async fn overlap_until(&self) -> Option<DateTime> {
        self.0.overlap_until.map(DateTime)
    }

    /// Grows with every change; send it back with yours to notice those of others.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

connection!(ApiKeyConnection, ApiKeyEdge, ApiKeyNode, "A page of API keys.");

/// A limit that an API key has of its own.
#[derive(Debug, SimpleObject)]
pub struct ApiKeyRateLimit {
    /// Points of cost that its bucket holds.
    capacity: i32,
    /// Points that flow into the bucket in a second.
    refill_per_second: i32,
}

/// Which API keys a list holds.
#[derive(Debug, Default, InputObject)]
pub struct ApiKeyFilter {
    /// True for keys that can be used now, false for those that are revoked, expired or replaced.
    is_active: Option<bool>,
    /// Of this service account.
    service_account_id: Option<ID>,
}

/// The page in the form of the API.
pub fn api_key_connection(page: crate::graphql::Page<ApiKey>) -> ApiKeyConnection {
    ApiKeyConnection(page.map(ApiKeyNode, |node| &node.0))
}

/// Reads of API keys.
#[derive(Default)]
pub struct ApiKeysQuery;

#[Object]
impl ApiKeysQuery {
    /// The API key with this id, or null if there is none you may see.
    #[graphql(directive = requires_scopes::apply(ApiKeysRead), directive = tenant_scoped::apply())]
    async fn api_key(&self, ctx: &Context<'_>, #[graphql(desc = "The key's id.")] id: ID) -> Answer<ApiKeyNode> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(ApiKeyNode)) };
        answer(found.await)
    }

    /// The API keys you may see, newest first.
    #[graphql(
        directive = requires_scopes::apply(ApiKeysRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which keys.")] filter: Option<ApiKeyFilter>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<ApiKeyConnection> {
        let page = async {
            let page = PageArgs { first, after, last, before }.check()?;
            let filter = filter.unwrap_or_default();
            let service_account = filter.service_account_id.as_ref().map(parse).transpose()?;
            let find = ApiKeyFind { is_active: filter.is_active, service_account };
            let scope = gql::scope(ctx);
            let page = service::list(gql::services(ctx), &scope, find, page).await?;
            let selected = Ahead::items(ctx);
            if selected.field("serviceAccount").exists() {
                let accounts = page.items.iter().filter_map(|key| key.owner.service_account());
                scope.look_ahead::<ServiceAccountById>(gql::keys(accounts)).await;
            }
            let owner = selected.field("owner");
            if owner.exists() {
                let owners = gql::keys(page.items.iter().filter_map(|key| key.owner.member()));
                members::graphql::look_ahead(&scope, owners, &owner).await;
            }
            Ok(Some(api_key_connection(page)))
        };
        answer(Box::pin(page).await)
    }
}

/// A new API key.
#[derive(Debug, InputObject)]
pub struct ApiKeyCreateInput {
    /// What people call it, 1 to 120 characters.
    name: String,
    /// What it is for: permissions that you hold yourself, where the key counts.
    scopes: Vec<Permission>,
    /// The workspace to restrict it to, with those below it; without one it counts in the whole tenant.
    workspace_id: Option<ID>,
    /// When it ends; without a time it never does.
    expires_at: Option<DateTime>,
    /// From where it may be used: up to 50 networks like `10.0.0.0/8`, or addresses. From anywhere if nothing is said.
    allowed_cidrs: Option<Vec<String>>,
    /// A limit of its own, lower than the one that every principal has.
    rate_limit: Option<ApiKeyRateLimitInput>,
    /// The service account that it acts for, instead of you. Needs `service_accounts:write` besides.
    service_account_id: Option<ID>,
}

/// A limit that an API key is to have of its own.
#[derive(Debug, InputObject)]
pub struct ApiKeyRateLimitInput {
    /// Points of cost that its bucket holds.
    capacity: i32,
    /// Points that flow into the bucket in a second.
    refill_per_second: i32,
}

/// Changes of an API key. What is absent stays. Its scopes cannot be changed: make another key.
#[derive(Debug, InputObject)]
pub struct ApiKeyUpdateInput {
    /// The key.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: Option<i32>,
    /// What people call it, 1 to 120 characters.
    name: Option<String>,
    /// From where it may be used, replaced as a whole: up to 50 networks like `10.0.0.0/8`, or addresses; empty means from
    /// anywhere.
    allowed_cidrs: Option<Vec<String>>,
    /// When it ends: in the future, and not later than it does now.
    expires_at: Option<DateTime>,
}

/// An API key to replace.
#[derive(Debug, InputObject)]
pub struct ApiKeyRotateInput {
    /// The key.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
    /// How long the old key keeps working, in seconds: a day if nothing is said, at most seven.
    #[graphql(default_with = "Some(super::types::DEFAULT_OVERLAP_SECONDS)")]
    overlap_seconds: Option<i32>,
}

/// An API key to revoke.
#[derive(Debug, InputObject)]
pub struct ApiKeyRevokeInput {
    /// The key.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
    /// Why, up to 120 characters; people with `api_keys:read` see it.
    reason: Option<String>,
}

macro_rules! secret_payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The new key; null if nothing was written.
            api_key: Option<ApiKeyNode>,
            /// The whole key. Shown this once: a repetition under the same idempotency key has null.
            #[graphql(directive = sensitive::apply())]
            secret: Option<String>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(issued: Option<Issued>, user_errors: Vec<UserError>) -> Self {
                let (api_key, secret) = match issued {
                    Some(Issued { key, secret }) => (Some(ApiKeyNode(key)), secret),
                    None => (None, None),
                };
                Self { api_key, secret: secret.map(|secret| secret.expose_secret().to_owned()), user_errors }
            }
        }
    )*};
}

secret_payloads! {
    /// What `apiKeyCreate` made.
    ApiKeyCreatePayload,
    /// What `apiKeyRotate` made.
    ApiKeyRotatePayload,
}

/// What `apiKeyUpdate` did.
#[derive(SimpleObject)]
pub struct ApiKeyUpdatePayload {
    /// The key; null if nothing was written.
    api_key: Option<ApiKeyNode>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

/// What `apiKeyRevoke` did.
#[derive(SimpleObject)]
pub struct ApiKeyRevokePayload {
    /// The key; null if nothing was written.
    api_key: Option<ApiKeyNode>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

/// Changes of API keys.
#[derive(Default)]
pub struct ApiKeysMutation;

#[Object]
impl ApiKeysMutation {
    /// Makes an API key that acts on your behalf or for a service account, within the scopes you give it.
    #[graphql(
        directive = requires_scopes::apply(ApiKeysCreate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ApiKeyCreate.name())
    )]
    async fn api_key_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key.")] input: ApiKeyCreateInput,
    ) -> Option<Result<ApiKeyCreatePayload>> {
        gql::renew(ctx);
        let written = async {
            let draft = ApiKeyDraft {
                name: input.name,
                scopes: input.scopes,
                workspace: input.workspace_id.as_ref().map(parse).transpose()?,
                expires_at: input.expires_at.map(|at| at.0),
                allowed_cidrs: input.allowed_cidrs.unwrap_or_default(),
                rate: input.rate_limit.map(|rate| (rate.capacity, rate.refill_per_second)),
                owner: None,
                service_account: input.service_account_id.as_ref().map(parse).transpose()?,
            };
            service::create(gql::services(ctx), gql::request(ctx), draft).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, ApiKeyCreatePayload::new).await
    }

    /// Changes an API key's name and networks, or brings its end forward.
    #[graphql(
        directive = requires_scopes::apply(ApiKeysCreate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ApiKeyUpdate.name())
    )]
    async fn api_key_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: ApiKeyUpdateInput,
    ) -> Option<Result<ApiKeyUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let changes = ApiKeyChanges {
                name: input.name,
                allowed_cidrs: input.allowed_cidrs,
                expires_at: input.expires_at.map(|at| at.0),
            };
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::update(services, request, parse(&input.id)?, input.version, changes).await
        };
        gql::payload(
            written.await,
            async |id| service::find(&gql::scope(ctx), id).await,
            |key, user_errors| ApiKeyUpdatePayload { api_key: key.map(ApiKeyNode), user_errors },
        )
        .await
    }

    /// Makes a key that takes the place of another; both work until the overlap is over.
    #[graphql(
        directive = requires_scopes::apply(ApiKeysRotate),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ApiKeyRotate.name())
    )]
    async fn api_key_rotate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key.")] input: ApiKeyRotateInput,
    ) -> Option<Result<ApiKeyRotatePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::rotate(services, request, parse(&input.id)?, input.version, input.overlap_seconds).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, ApiKeyRotatePayload::new).await
    }

    /// Revokes an API key: it is refused from the next request on.
    #[graphql(
        directive = requires_scopes::apply(ApiKeysRevoke),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ApiKeyRevoke.name())
    )]
    async fn api_key_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key, and why.")] input: ApiKeyRevokeInput,
    ) -> Option<Result<ApiKeyRevokePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::revoke(services, request, parse(&input.id)?, input.version, input.reason).await
        };
        gql::payload(
            written.await,
            async |id| service::find(&gql::scope(ctx), id).await,
            |key, user_errors| ApiKeyRevokePayload { api_key: key.map(ApiKeyNode), user_errors },
        )
        .await
    }
}

/// The key of an earlier request with the same idempotency key; its secret is not shown twice.
async fn again(ctx: &Context<'_>, id: ApiKeyId) -> Result<Option<Issued>, Error> {
    let key = service::find(&gql::scope(ctx), id).await?;
    Ok(key.map(|key| Issued { key, secret: None }))
}
