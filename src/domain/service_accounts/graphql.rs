//! Service accounts in the API.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{
    service::{self, ServiceAccountDraft},
    types::{ServiceAccount, ServiceAccountChanges, ServiceAccountStatus},
};
use crate::{
    access::Permission::{ApiKeysRead, MembersRead, ServiceAccountsWrite},
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Ahead, Answer, answer},
        members::{self, graphql::MemberNode},
    },
    graphql::{
        PageArgs, UserError,
        directives::{PAGED, any_of, audited, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::ServiceAccountId,
};

/// A service account: what a program is in the tenant.
pub struct ServiceAccountNode(pub ServiceAccount);

/// A service account: what a program is in the tenant. Its API keys act for it and outlive the people who made them.
#[Object(
    name = "ServiceAccount",
    directive = requires_scopes::apply(any_of([ServiceAccountsWrite, ApiKeysRead])),
    directive = tenant_scoped::apply()
)]
impl ServiceAccountNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Its name, unique in the tenant whatever the case of its letters.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for; empty if nothing was said.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// The member to ask about it; null if there is none any more, or if you may not see them.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn owner(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let owner = self.0.owner_member_id?;
        answer(members::service::find(&gql::scope(ctx), owner).await.map(|found| found.map(MemberNode)))
    }

    /// Whether it is in use.
    async fn status(&self) -> ServiceAccountStatus {
        self.0.status
    }

    /// Grows with every change; send it back with yours to notice those of others.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

connection!(ServiceAccountConnection, ServiceAccountEdge, ServiceAccountNode, "A page of service accounts.");

/// Reads of service accounts.
#[derive(Default)]
pub struct ServiceAccountsQuery;

#[Object]
impl ServiceAccountsQuery {
    /// The service account with this id, or null if there is none you may see.
    #[graphql(
        directive = requires_scopes::apply(any_of([ServiceAccountsWrite, ApiKeysRead])),
        directive = tenant_scoped::apply()
    )]
    async fn service_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service account's id.")] id: ID,
    ) -> Answer<ServiceAccountNode> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(ServiceAccountNode)) };
        answer(found.await)
    }

    /// The tenant's service accounts, newest first; empty for those who hold the permission in workspaces only.
    #[graphql(
        directive = requires_scopes::apply(any_of([ServiceAccountsWrite, ApiKeysRead])),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn service_accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<ServiceAccountConnection> {
        let page = async {
            let page = PageArgs { first, after, last, before }.check()?;
            let scope = gql::scope(ctx);
            let page = service::list(gql::services(ctx), &scope, page).await?;
            let owner = Ahead::items(ctx).field("owner");
            if owner.exists() {
                let owners = gql::keys(page.items.iter().filter_map(|account| account.owner_member_id));
                members::graphql::look_ahead(&scope, owners, &owner).await;
            }
            Ok(Some(ServiceAccountConnection(page.map(ServiceAccountNode, |node| &node.0))))
        };
        answer(Box::pin(page).await)
    }
}

/// A new service account.
#[derive(Debug, InputObject)]
pub struct ServiceAccountCreateInput {
    /// Its name, 1 to 80 characters.
    name: String,
    /// What it is for, up to 300 characters.
    description: Option<String>,
    /// The member to ask about it; you if nobody is named.
    owner_id: Option<ID>,
}

/// Changes of a service account. What is absent stays, null clears.
#[derive(Debug, InputObject)]
pub struct ServiceAccountUpdateInput {
    /// The service account.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: Option<i32>,
    /// Its name, 1 to 80 characters.
    name: Option<String>,
    /// What it is for, up to 300 characters; null empties it.
    description: MaybeUndefined<String>,
    /// The member to ask about it; null means nobody.
    owner_id: MaybeUndefined<ID>,
}

macro_rules! switch_inputs {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, InputObject)]
        pub struct $name {
            /// The service account.
            id: ID,
            /// The version you saw; refused if somebody was faster.
            version: Option<i32>,
            /// Why, up to 500 characters.
            reason: Option<String>,
        }
    )*};
}

switch_inputs! {
    /// A service account to disable.
    ServiceAccountDisableInput,
    /// A service account to enable again.
    ServiceAccountEnableInput,
    /// A service account to delete.
    ServiceAccountDeleteInput,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The service account; null if nothing was written.
            service_account: Option<ServiceAccountNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(account: Option<ServiceAccount>, user_errors: Vec<UserError>) -> Self {
                Self { service_account: account.map(ServiceAccountNode), user_errors }
            }
        }
    )*};
}

payloads! {
    /// What `serviceAccountCreate` did.
    ServiceAccountCreatePayload,
    /// What `serviceAccountUpdate` did.
    ServiceAccountUpdatePayload,
    /// What `serviceAccountDisable` did.
    ServiceAccountDisablePayload,
    /// What `serviceAccountEnable` did.
    ServiceAccountEnablePayload,
    /// What `serviceAccountDelete` did; the service account as it was.
    ServiceAccountDeletePayload,
}

/// Changes of service accounts.
#[derive(Default)]
pub struct ServiceAccountsMutation;

#[Object]
impl ServiceAccountsMutation {
    /// Creates a service account. It holds nothing until a role is given to it.
    #[graphql(
        directive = requires_scopes::apply(ServiceAccountsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ServiceAccountCreate.name())
    )]
    async fn service_account_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service account.")] input: ServiceAccountCreateInput,
    ) -> Option<Result<ServiceAccountCreatePayload>> {
        gql::renew(ctx);
        let written = async {
            let owner = input.owner_id.as_ref().map(parse).transpose()?;
            let draft = ServiceAccountDraft { name: input.name, description: input.description, owner };
            service::create(gql::services(ctx), gql::request(ctx), draft).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, ServiceAccountCreatePayload::new).await
    }

    /// Changes the name, the description or the owner of a service account.
    #[graphql(
        directive = requires_scopes::apply(ServiceAccountsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ServiceAccountUpdate.name())
    )]
    async fn service_account_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: ServiceAccountUpdateInput,
    ) -> Option<Result<ServiceAccountUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let changes = ServiceAccountChanges {
                name: input.name,
                description: gql::changed(input.description).map(Option::unwrap_or_default),
                owner_member_id: gql::changed_id(input.owner_id)?,
                ..ServiceAccountChanges::default()
            };
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::update(services, request, parse(&input.id)?, input.version, changes).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, ServiceAccountUpdatePayload::new).await
    }

    /// Disables a service account: its API keys are refused from the next request on.
    #[graphql(
        directive = requires_scopes::apply(ServiceAccountsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ServiceAccountDisable.name())
    )]
    async fn service_account_disable(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which service account.")] input: ServiceAccountDisableInput,
    ) -> Option<Result<ServiceAccountDisablePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::disable(services, request, parse(&input.id)?, input.version, input.reason).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, ServiceAccountDisablePayload::new).await
    }

    /// Enables a service account again: its API keys work as far as they have not ended.
    #[graphql(
        directive = requires_scopes::apply(ServiceAccountsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ServiceAccountEnable.name())
    )]
    async fn service_account_enable(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which service account.")] input: ServiceAccountEnableInput,
    ) -> Option<Result<ServiceAccountEnablePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::enable(services, request, parse(&input.id)?, input.version, input.reason).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, ServiceAccountEnablePayload::new).await
    }

    /// Deletes a service account with its roles and its API keys.
    #[graphql(
        directive = requires_scopes::apply(ServiceAccountsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::ServiceAccountDelete.name())
    )]
    async fn service_account_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which service account.")] input: ServiceAccountDeleteInput,
    ) -> Option<Result<ServiceAccountDeletePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::delete(services, request, parse(&input.id)?, input.version, input.reason).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, ServiceAccountDeletePayload::new).await
    }
}

async fn again(ctx: &Context<'_>, id: ServiceAccountId) -> Result<Option<ServiceAccount>, Error> {
    service::find(&gql::scope(ctx), id).await
}
