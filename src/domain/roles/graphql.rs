//! Roles in the API.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::{
    loaders::{GrantsOfMember, PolicyOfRole, RoleById},
    service::{self, RoleList},
    types::{Grant, Role, RoleLevel, RoleSort},
};
use crate::{
    access::{
        self, Permission,
        Permission::{RolesRead, WorkspacesRead},
        PermissionSet, RolePolicy,
    },
    connection,
    domain::{
        Error,
        gql::{self, Ahead, answer},
        reading::ReadScope,
        workspaces::{self, graphql::WorkspaceNode, loaders::WorkspaceById},
    },
    graphql::{
        PageArgs,
        directives::{PAGED, authenticated, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::MemberId,
};

/// A role of the tenant: what its holders may do.
pub struct RoleNode(pub Role);

/// A role of the tenant: what its holders may do.
#[Object(
    name = "Role",
    directive = requires_scopes::apply(RolesRead),
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

    /// Grows with every change; send it back with yours to notice those of others.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

impl RoleNode {
    async fn policy(&self, scope: &ReadScope) -> Result<RolePolicy, Error> {
        Ok(scope.load::<PolicyOfRole>(self.0.id).await?.unwrap_or_default())
    }
}

connection!(RoleConnection, RoleEdge, RoleNode, "A page of roles.");

/// A role given to a member.
pub struct RoleGrantNode(pub Grant);

/// A role given to a member.
#[Object(name = "RoleGrant", directive = tenant_scoped::apply())]
impl RoleGrantNode {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The role; null if it was deleted.
    #[graphql(directive = requires_scopes::apply(RolesRead))]
    async fn role(&self, ctx: &Context<'_>) -> Option<Result<RoleNode>> {
        let found = async { Ok(service::find(&gql::scope(ctx), self.0.role_id).await?.map(RoleNode)) };
        answer(found.await)
    }

    /// Whether it holds in the whole tenant.
    async fn is_tenant_wide(&self) -> bool {
        self.0.workspace_id.is_none()
    }

    /// The workspace it was given on, where it holds with all descendants; null if it holds in the whole tenant.
    #[graphql(directive = requires_scopes::apply(WorkspacesRead))]
    async fn workspace(&self, ctx: &Context<'_>) -> Option<Result<WorkspaceNode>> {
        let workspace = self.0.workspace_id?;
        answer(workspaces::service::find(&gql::scope(ctx), workspace).await.map(|found| found.map(WorkspaceNode)))
    }

    /// When it ends; null means never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// When it was given.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// What this member holds now. Members whose grants are asked for together are answered by one statement.
///
/// # Errors
/// [`Error::Db`] if the database cannot be asked.
pub async fn grants_of(scope: &ReadScope, member: MemberId) -> Result<Vec<RoleGrantNode>, Error> {
    let grants = scope.load::<GrantsOfMember>(member).await?.unwrap_or_default();
    Ok(grants.into_iter().map(RoleGrantNode).collect())
}

/// Loads what is selected of the grants of these members: each level in one flight.
pub async fn look_ahead_grants(scope: &ReadScope, members: Vec<MemberId>, selected: &Ahead<'_>) {
    if !selected.exists() {
        return;
    }
    scope.look_ahead::<GrantsOfMember>(members.clone()).await;
    let (role, workspace) = (selected.field("role"), selected.field("workspace"));
    let (mut roles, mut workspaces) = (Vec::new(), Vec::new());
    for member in members {
        if let Ok(Some(grants)) = scope.load::<GrantsOfMember>(member).await {
            roles.extend(grants.iter().filter(|_| role.exists()).map(|grant| grant.role_id));
            workspaces.extend(grants.iter().filter(|_| workspace.exists()).filter_map(|grant| grant.workspace_id));
        }
    }
    let (roles, workspaces) = (gql::keys(roles.into_iter()), gql::keys(workspaces.into_iter()));
    let policies = if selects_policy(&role) { roles.clone() } else { Vec::new() };
    futures::join!(
        scope.look_ahead::<RoleById>(roles),
        scope.look_ahead::<PolicyOfRole>(policies),
        scope.look_ahead::<WorkspaceById>(workspaces)
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
    if selects_policy(&Ahead::items(ctx)) {
        scope.look_ahead::<PolicyOfRole>(page.items.iter().map(|role| role.id).collect()).await;
    }
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
    #[graphql(directive = requires_scopes::apply(RolesRead), directive = tenant_scoped::apply())]
    async fn role(&self, ctx: &Context<'_>, #[graphql(desc = "The role's id.")] id: ID) -> Option<Result<RoleNode>> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(RoleNode)) };
        answer(found.await)
    }

    /// The tenant's roles, by name unless ordered otherwise.
    #[graphql(
        directive = requires_scopes::apply(RolesRead),
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
    ) -> Option<Result<RoleConnection>> {
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
