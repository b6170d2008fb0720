//! The one who asks, in the API. Works with and without a tenant.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

use super::{service, types::Membership};
use crate::{
    access::{On, Permission},
    connection,
    context::{Principal, TenantStatus},
    domain::{
        gql::{self, Answer, answer, nullable},
        members::{
            self,
            graphql::{MemberNode, UserNode},
            types::MemberStatus,
        },
    },
    graphql::{
        PageArgs,
        directives::{PAGED, authenticated, list_size},
        ids::parse,
        scalars::DateTime,
    },
};

/// What kind of principal asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum PrincipalKind {
    /// A person with a session.
    Person,
    /// An API key of the tenant.
    ApiKey,
    /// An operator of the installation.
    Operator,
    /// Somebody without a credential.
    Anonymous,
}

/// The one who asks.
pub struct ViewerNode;

/// The one who asks.
#[Object(name = "Viewer")]
impl ViewerNode {
    /// What kind of principal it is.
    async fn kind(&self, ctx: &Context<'_>) -> PrincipalKind {
        match gql::request(ctx).principal {
            Principal::Person { .. } => PrincipalKind::Person,
            Principal::ApiKey { .. } => PrincipalKind::ApiKey,
            Principal::Operator { .. } => PrincipalKind::Operator,
            Principal::Anonymous => PrincipalKind::Anonymous,
        }
    }

    /// The person; null for an API key.
    async fn user(&self, ctx: &Context<'_>) -> Answer<UserNode> {
        answer(members::service::find_self(&gql::scope(ctx)).await.map(|user| user.map(UserNode)))
    }

    /// The API key; null for a person.
    async fn api_key_id(&self, ctx: &Context<'_>) -> Option<ID> {
        match gql::request(ctx).principal {
            Principal::ApiKey { key, .. } => Some(key.into()),
            _ => None,
        }
    }

    /// The tenants of which the person is a member, by name, in whatever state; empty for an API key.
    #[graphql(directive = list_size::apply(PAGED))]
    async fn memberships(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<MembershipConnection> {
        let page = async {
            let request = PageArgs { first, after, last, before }.check()?;
            let page = service::memberships(gql::services(ctx), &gql::scope(ctx), request).await?;
            Ok(Some(MembershipConnection(page.map(MembershipNode, |node| &node.0))))
        };
        answer(page.await)
    }

    /// What the caller may do in the tenant of the request: as a whole, or in one workspace. Empty without a tenant.
    #[graphql(directive = list_size::apply(CATALOGUE_SIZE))]
    async fn permissions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In this workspace; if nothing is said, in the tenant as a whole.")] workspace_id: Option<ID>,
    ) -> Option<Result<Vec<Permission>>> {
        let held = || {
            let on = match &workspace_id {
                None => On::Tenant,
                Some(id) => On::Workspace(parse(id)?),
            };
            let request = gql::request(ctx);
            Ok(Some(Permission::ALL.iter().copied().filter(|permission| request.can(*permission, on)).collect()))
        };
        nullable(held())
    }

    /// The tenant that the person opened last, as a hint where to go on; null if there is none.
    async fn last_tenant(&self, ctx: &Context<'_>) -> Answer<MembershipTenant> {
        let found = service::last_tenant(&gql::scope(ctx)).await;
        answer(found.map(|found| found.as_ref().map(MembershipTenant::of)))
    }

    /// The member that the person is in the tenant of the request; null for an API key and without a tenant.
    async fn member(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let found = async {
            match members::service::own_member(gql::request(ctx)) {
                Some(id) => Ok(members::service::find(&gql::scope(ctx), id).await?.map(MemberNode)),
                None => Ok(None),
            }
        };
        answer(found.await)
    }
}

const CATALOGUE_SIZE: i32 = Permission::ALL.len() as i32;

/// A person's place in one of their tenants.
pub struct MembershipNode(Membership);

/// A person's place in one of their tenants.
#[Object(name = "Membership")]
impl MembershipNode {
    /// The tenant.
    async fn tenant(&self) -> MembershipTenant {
        MembershipTenant::of(&self.0)
    }

    /// The id of the member that the person is there.
    async fn member_id(&self) -> ID {
        self.0.member_id.into()
    }

    /// Where that member stands.
    async fn status(&self) -> MemberStatus {
        self.0.member_status
    }

    /// When the person became a member.
    async fn joined_at(&self) -> DateTime {
        DateTime(self.0.joined_at)
    }
}

/// What a person sees of their tenants before they enter one.
#[derive(Clone, Debug, SimpleObject)]
pub struct MembershipTenant {
    /// Its id.
    id: ID,
    /// Its slug: how hosts, paths and headers name it.
    slug: String,
    /// Its name.
    name: String,
    /// Where it stands in its life.
    status: TenantStatus,
}

impl MembershipTenant {
    fn of(membership: &Membership) -> Self {
        Self {
            id: membership.tenant_id.into(),
            slug: membership.slug.clone(),
            name: membership.name.clone(),
            status: membership.status,
        }
    }
}

connection!(MembershipConnection, MembershipEdge, MembershipNode, "A page of memberships.");

/// Reads about the one who asks.
#[derive(Default)]
pub struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// The one who asks.
    #[graphql(directive = authenticated::apply())]
    async fn viewer(&self) -> ViewerNode {
        ViewerNode
    }
}
