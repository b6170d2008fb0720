//! Roles in the API.

pub mod grants;
pub mod mutations;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::{
    loaders::{PolicyOfRole, RoleById, WholePolicyOfRole},
    service::{self, RoleList},
    types::{Role, RoleLevel, RoleSort},
};
use crate::{
    access::{
        self, Permission,
        Permission::{RolesGrant, RolesRead},
        PermissionSet,
        escalation::Says,
    },
    connection,
    domain::{
        Error,
        gql::{self, Ahead, Answer, answer},
        reading::ReadScope,
    },
    graphql::{
        PageArgs,
        directives::{PAGED, any_of, authenticated, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
};

/// A role of the tenant: what its holders may do.
pub struct RoleNode(pub Role);

/// A role of the tenant: what its holders may do.
#[Object(
    name = "Role",
    directive = requires_scopes::apply(any_of([RolesRead, RolesGrant])),
    directive = tenant_scoped::apply()
)]
impl RoleNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Its key, unique in the tenant, for example `workspace_viewer`.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for; empty if nothing was said.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// Whether it came with the tenant. Such a role cannot be changed or deleted.
    async fn is_system(&self) -> bool {
        self.0.is_system
    }

    /// Where it is meant to be given.
    async fn level(&self) -> RoleLevel {
        self.0.level
    }

    /// What it allows itself, implications not spelled out.
    #[graphql(directive = list_size::apply(100))]
    async fn permissions(&self, ctx: &Context<'_>) -> Result<Vec<Permission>> {
        Ok(self.policy(&gql::scope(ctx)).await?.allow.iter().collect())
    }

    /// What it denies, whatever else allows it.
    #[graphql(directive = list_size::apply(100))]
    async fn denied_permissions(&self, ctx: &Context<'_>) -> Result<Vec<Permission>> {
        Ok(self.policy(&gql::scope(ctx)).await?.deny.iter().collect())
    }

    /// The role whose permissions and denials it has besides its own; null if it inherits from none.
    async fn inherits(&self, ctx: &Context<'_>) -> Answer<RoleNode> {
        let parent = self.0.inherits_role_id?;
        let found = async { Ok(service::find(&gql::scope(ctx), parent).await?.map(RoleNode)) };
        answer(found.await)
    }

    /// What it gives: its own permissions and inherited ones, with all that they imply, without what is denied.
    #[graphql(directive = list_size::apply(100))]
    async fn effective_permissions(&self, ctx: &Context<'_>) -> Result<Vec<Permission>> {
        let says = gql::scope(ctx).load::<WholePolicyOfRole>(self.0.id).await?.unwrap_or_default();
        Ok(says.allow.closure_without(says.deny).iter().collect())
    }

    /// Grows with every change; send it back with yours, which is refused if somebody was faster.
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

impl RoleNode {
    async fn policy(&self, scope: &ReadScope) -> Result<Says, Error> {
        Ok(scope.load::<PolicyOfRole>(self.0.id).await?.unwrap_or_default())
    }
}

connection!(RoleConnection, RoleEdge, RoleNode, "A page of roles.");

/// Loads these roles with what is selected of them: each level in one flight.
pub(super) async fn look_ahead(scope: &ReadScope, ids: Vec<crate::ids::RoleId>, selected: &Ahead<'_>) {
    if !selected.exists() || ids.is_empty() {
        return;
    }
    let policies = if selects_policy(selected) { ids.clone() } else { Vec::new() };
    let whole = if selected.field("effectivePermissions").exists() { ids.clone() } else { Vec::new() };
    futures::join!(
        scope.look_ahead::<RoleById>(ids),
        scope.look_ahead::<PolicyOfRole>(policies),
        scope.look_ahead::<WholePolicyOfRole>(whole)
    );
}

fn selects_policy(role: &Ahead<'_>) -> bool {
    role.field("permissions").exists() || role.field("deniedPermissions").exists()
}

/// By what roles can be ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum RoleOrderField {
    /// When they were created.
    CreatedAt,
    /// Their name, compared byte by byte.
    Name,
}

/// The order of a list of roles.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct RoleOrder {
    /// By what.
    field: RoleOrderField,
    /// In which direction.
    direction: gql::OrderDirection,
}

/// A page of roles for the field `field`, with what is selected of them.
pub(crate) async fn connection(
    ctx: &Context<'_>,
    field: &'static str,
    order: Option<RoleOrder>,
    page: PageArgs,
) -> Result<Option<RoleConnection>, Error> {
    let order = order.unwrap_or(RoleOrder { field: RoleOrderField::Name, direction: gql::OrderDirection::Asc });
    let list = RoleList {
        field,
        sort: match order.field {
            RoleOrderField::CreatedAt => RoleSort::CreatedAt,
            RoleOrderField::Name => RoleSort::Name,
        },
        descending: order.direction == gql::OrderDirection::Desc,
        page: page.check()?,
    };
    let scope = gql::scope(ctx);
    let page = service::list(gql::services(ctx), &scope, list).await?;
    let selected = Ahead::items(ctx);
    let (ids, mut known) = (page.items.iter().map(|role| role.id).collect(), Vec::new());
    for role in &page.items {
        known.push((role.id, role.clone()));
    }
    scope.prime::<RoleById>(known);
    look_ahead(&scope, ids, &selected).await;
    let parents = gql::keys(page.items.iter().filter_map(|role| role.inherits_role_id));
    look_ahead(&scope, parents, &selected.field("inherits")).await;
    Ok(Some(RoleConnection(page.map(RoleNode, |node| &node.0))))
}

/// Where a permission can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "access::PermissionLevel")]
pub enum PermissionLevel {
    /// Holds for a whole tenant only.
    Tenant,
    /// May also be granted on one workspace, where it holds with all descendants.
    Workspace,
    /// For the operators of the installation; never part of a tenant's role.
    Platform,
}

/// A permission, explained.
#[derive(Clone, Debug, SimpleObject)]
pub struct PermissionInfo {
    /// Its name, for example `tasks:write`.
    name: Permission,
    /// Where it can hold.
    level: PermissionLevel,
    /// What it allows.
    description: &'static str,
    /// What whoever holds it holds too.
    implies: Vec<Permission>,
}

/// Reads of roles and of what they are made of.
#[derive(Default)]
pub struct RolesQuery;

#[Object]
impl RolesQuery {
    /// The role with this id, or null if there is none you may see.
    #[graphql(directive = requires_scopes::apply(any_of([RolesRead, RolesGrant])), directive = tenant_scoped::apply())]
    async fn role(&self, ctx: &Context<'_>, #[graphql(desc = "The role's id.")] id: ID) -> Answer<RoleNode> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(RoleNode)) };
        answer(found.await)
    }

    /// The tenant's roles, by name unless ordered otherwise.
    #[graphql(
        directive = requires_scopes::apply(any_of([RolesRead, RolesGrant])),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn roles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which order.")] order_by: Option<RoleOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<RoleConnection> {
        answer(connection(ctx, "Query.roles", order_by, PageArgs { first, after, last, before }).await)
    }

    /// Every permission there is: what roles and API keys are made of.
    #[graphql(directive = authenticated::apply(), directive = list_size::apply(CATALOGUE_SIZE))]
    async fn permission_catalogue(&self) -> Option<Result<Vec<PermissionInfo>>> {
        let all = Permission::ALL.iter().map(|permission| PermissionInfo {
            name: *permission,
            level: permission.level().into(),
            description: permission.description(),
            implies: PermissionSet::from(*permission)
                .closure()
                .iter()
                .filter(|implied| implied != permission)
                .collect(),
        });
        Some(Ok(all.collect()))
    }
}

const CATALOGUE_SIZE: i32 = Permission::ALL.len() as i32;
