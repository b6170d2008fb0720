//! Who holds which role: grants in the API.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, OneofObject, Result, SimpleObject};

use super::{RoleNode, look_ahead};
use crate::{
    access::Permission::{
        ApiKeysRead, GroupsRead, MembersRead, RolesGrant, RolesRead, ServiceAccountsWrite, WorkspacesRead,
    },
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Ahead, Answer, answer},
        groups::{self, graphql::GroupNode, loaders::GroupById},
        members::{self, graphql::MemberNode},
        reading::ReadScope,
        roles::{
            grants,
            loaders::GrantsOfMember,
            service,
            types::{Grant, GrantDraft, GrantFind, GrantPrincipal},
        },
        service_accounts::{self, graphql::ServiceAccountNode, loaders::ServiceAccountById},
        workspaces::{self, graphql::WorkspaceNode, loaders::WorkspaceById},
    },
    graphql::{
        PageArgs, UserError,
        directives::{PAGED, any_of, audited, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::{MemberId, RoleGrantId},
};

/// A role given to a member, a group or a service account.
pub struct RoleGrantNode(pub Grant);

/// A role given to a member, a group or a service account.
#[Object(
    name = "RoleGrant",
    directive = requires_scopes::apply(any_of([MembersRead, RolesRead, RolesGrant])),
    directive = tenant_scoped::apply()
)]
impl RoleGrantNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The role; null if it was deleted.
    #[graphql(directive = requires_scopes::apply(any_of([RolesRead, RolesGrant])))]
    async fn role(&self, ctx: &Context<'_>) -> Answer<RoleNode> {
        let found = async { Ok(service::find(&gql::scope(ctx), self.0.role_id).await?.map(RoleNode)) };
        answer(found.await)
    }

    /// The member who holds it; null if a group or a service account does, or if you may not see the member.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn member(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let member = self.0.member_id?;
        answer(members::service::find(&gql::scope(ctx), member).await.map(|found| found.map(MemberNode)))
    }

    /// The group that holds it, for everybody in it; null if it is not a group, or if you may not see it.
    #[graphql(directive = requires_scopes::apply(GroupsRead))]
    async fn group(&self, ctx: &Context<'_>) -> Answer<GroupNode> {
        let group = self.0.group_id?;
        answer(groups::service::find(&gql::scope(ctx), group).await.map(|found| found.map(GroupNode)))
    }

    /// The service account that holds it; null if it is none, or if you may not see it.
    #[graphql(directive = requires_scopes::apply(any_of([ServiceAccountsWrite, ApiKeysRead])))]
    async fn service_account(&self, ctx: &Context<'_>) -> Answer<ServiceAccountNode> {
        let account = self.0.service_account_id?;
        let found = service_accounts::service::find(&gql::scope(ctx), account).await;
        answer(found.map(|found| found.map(ServiceAccountNode)))
    }

    /// Whether it holds in the whole tenant.
    async fn is_tenant_wide(&self) -> bool {
        self.0.workspace_id.is_none()
    }

    /// The workspace it was given on, where it holds with all descendants; null if it holds in the whole tenant.
    #[graphql(directive = requires_scopes::apply(WorkspacesRead))]
    async fn workspace(&self, ctx: &Context<'_>) -> Answer<WorkspaceNode> {
        let workspace = self.0.workspace_id?;
        answer(workspaces::service::find(&gql::scope(ctx), workspace).await.map(|found| found.map(WorkspaceNode)))
    }

    /// Whether it counts now.
    async fn is_active(&self, ctx: &Context<'_>) -> bool {
        self.0.is_active(gql::request(ctx).now())
    }

    /// When it ends; null means never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// The member who gave it; null if it came with the tenant, from an operator or from a service account.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn granted_by(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let member = self.0.granted_by_member_id?;
        answer(members::service::find(&gql::scope(ctx), member).await.map(|found| found.map(MemberNode)))
    }

    /// Why it was given.
    #[graphql(directive = requires_scopes::apply(any_of([RolesRead, RolesGrant])))]
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// When it was given.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

connection!(RoleGrantConnection, RoleGrantEdge, RoleGrantNode, "A page of grants.");

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
    let mut grants = Vec::new();
    for member in members {
        if let Ok(Some(held)) = scope.load::<GrantsOfMember>(member).await {
            grants.extend(held);
        }
    }
    look_ahead_of(scope, &grants, selected).await;
}

/// Loads what is selected of these grants: each level in one flight. Members come with the loaders' own batches.
async fn look_ahead_of(scope: &ReadScope, grants: &[Grant], selected: &Ahead<'_>) {
    let of = |field: &str| selected.field(field).exists();
    let role = selected.field("role");
    let roles = if role.exists() { gql::keys(grants.iter().map(|grant| grant.role_id)) } else { Vec::new() };
    let seen = |wanted: bool| grants.iter().filter(move |_| wanted);
    futures::join!(
        look_ahead(scope, roles, &role),
        scope.look_ahead::<WorkspaceById>(gql::keys(seen(of("workspace")).filter_map(|grant| grant.workspace_id))),
        scope.look_ahead::<GroupById>(gql::keys(seen(of("group")).filter_map(|grant| grant.group_id))),
        scope.look_ahead::<ServiceAccountById>(gql::keys(
            seen(of("serviceAccount")).filter_map(|grant| grant.service_account_id)
        )),
    );
}

/// Whom a role is given to: one of them.
#[derive(Debug, OneofObject)]
pub enum RolePrincipalInput {
    /// A member.
    MemberId(ID),
    /// A group: everybody in it, as long as they are.
    GroupId(ID),
    /// A service account.
    ServiceAccountId(ID),
}

impl RolePrincipalInput {
    fn read(&self) -> Result<GrantPrincipal, Error> {
        Ok(match self {
            Self::MemberId(id) => GrantPrincipal::Member(parse(id)?),
            Self::GroupId(id) => GrantPrincipal::Group(parse(id)?),
            Self::ServiceAccountId(id) => GrantPrincipal::ServiceAccount(parse(id)?),
        })
    }
}

/// Which grants a list holds. All conditions must hold.
#[derive(Debug, Default, InputObject)]
pub struct RoleGrantFilter {
    /// Held by this principal itself: what a member holds through a group is the group's.
    principal: Option<RolePrincipalInput>,
    /// Of this role.
    role_id: Option<ID>,
    /// On this workspace itself.
    workspace_id: Option<ID>,
    /// True for those that count now, false for those that have ended.
    is_active: Option<bool>,
}

impl RoleGrantFilter {
    fn find(self) -> Result<GrantFind, Error> {
        Ok(GrantFind {
            principal: self.principal.as_ref().map(RolePrincipalInput::read).transpose()?,
            role: self.role_id.as_ref().map(parse).transpose()?,
            workspace: self.workspace_id.as_ref().map(parse).transpose()?,
            is_active: self.is_active,
        })
    }
}

/// Reads of grants.
#[derive(Default)]
pub struct RoleGrantsQuery;

#[Object]
impl RoleGrantsQuery {
    /// Who holds which role, newest grants first: with `roles:read` everywhere you see, with `roles:grant` where you hold
    /// that.
    #[graphql(
        directive = requires_scopes::apply(any_of([RolesRead, RolesGrant])),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn role_grants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which grants.")] filter: Option<RoleGrantFilter>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<RoleGrantConnection> {
        let page = async {
            let page = PageArgs { first, after, last, before }.check()?;
            let find = filter.unwrap_or_default().find()?;
            let scope = gql::scope(ctx);
            let page = grants::list(gql::services(ctx), &scope, find, page).await?;
            let selected = Ahead::items(ctx);
            look_ahead_of(&scope, &page.items, &selected).await;
            for (field, ids) in [
                ("member", gql::keys(page.items.iter().filter_map(|grant| grant.member_id))),
                ("grantedBy", gql::keys(page.items.iter().filter_map(|grant| grant.granted_by_member_id))),
            ] {
                let selected = selected.field(field);
                if selected.exists() {
                    members::graphql::look_ahead(&scope, ids, &selected).await;
                }
            }
            Ok(Some(RoleGrantConnection(page.map(RoleGrantNode, |node| &node.0))))
        };
        answer(Box::pin(page).await)
    }
}

/// A role to give.
#[derive(Debug, InputObject)]
pub struct RoleGrantCreateInput {
    /// Whom it is given to.
    principal: RolePrincipalInput,
    /// The role. What it allows you must hold yourself, everywhere the grant reaches.
    role_id: ID,
    /// The workspace to give it on, with all below it; without one it holds in the whole tenant.
    workspace_id: Option<ID>,
    /// When it ends; without a time it never does.
    expires_at: Option<DateTime>,
    /// Why, up to 500 characters.
    reason: Option<String>,
}

/// A grant to change. What is absent stays, null clears.
#[derive(Debug, InputObject)]
pub struct RoleGrantUpdateInput {
    /// The grant.
    id: ID,
    /// When it ends; null means never.
    expires_at: MaybeUndefined<DateTime>,
    /// Why it is there, up to 500 characters.
    reason: MaybeUndefined<String>,
}

/// A role to take away.
#[derive(Debug, InputObject)]
pub struct RoleGrantDeleteInput {
    /// The grant.
    id: ID,
    /// Why, up to 500 characters.
    reason: Option<String>,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The grant; null if nothing was written.
            role_grant: Option<RoleGrantNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(grant: Option<Grant>, user_errors: Vec<UserError>) -> Self {
                Self { role_grant: grant.map(RoleGrantNode), user_errors }
            }
        }
    )*};
}

payloads! {
    /// What `roleGrantCreate` did.
    RoleGrantCreatePayload,
    /// What `roleGrantUpdate` did.
    RoleGrantUpdatePayload,
    /// What `roleGrantDelete` did; the grant as it was.
    RoleGrantDeletePayload,
}

/// Changes of grants.
#[derive(Default)]
pub struct RoleGrantsMutation;

#[Object]
impl RoleGrantsMutation {
    /// Gives a role to a member, a group or a service account.
    #[graphql(
        directive = requires_scopes::apply(RolesGrant),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::RoleGrantCreate.name())
    )]
    async fn role_grant_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom which role is given to.")] input: RoleGrantCreateInput,
    ) -> Option<Result<RoleGrantCreatePayload>> {
        gql::renew(ctx);
        let written = async {
            let draft = GrantDraft {
                principal: input.principal.read()?,
                role: parse(&input.role_id)?,
                workspace: input.workspace_id.as_ref().map(parse).transpose()?,
                expires_at: input.expires_at.map(|at| at.0),
                reason: input.reason,
            };
            grants::create(gql::services(ctx), gql::request(ctx), draft).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, RoleGrantCreatePayload::new).await
    }

    /// Changes when a grant ends, and why it is there.
    #[graphql(
        directive = requires_scopes::apply(RolesGrant),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::RoleGrantUpdate.name())
    )]
    async fn role_grant_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: RoleGrantUpdateInput,
    ) -> Option<Result<RoleGrantUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let end = gql::changed(input.expires_at).map(|end| end.map(|at| at.0));
            let reason = gql::changed(input.reason);
            grants::update(gql::services(ctx), gql::request(ctx), parse(&input.id)?, end, reason).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, RoleGrantUpdatePayload::new).await
    }

    /// Takes a role away: it counts for nothing from the next request on.
    #[graphql(
        directive = requires_scopes::apply(RolesGrant),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::RoleGrantDelete.name())
    )]
    async fn role_grant_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which grant, and why.")] input: RoleGrantDeleteInput,
    ) -> Option<Result<RoleGrantDeletePayload>> {
        gql::renew(ctx);
        let written =
            async { grants::delete(gql::services(ctx), gql::request(ctx), parse(&input.id)?, input.reason).await };
        gql::payload(written.await, async |id| again(ctx, id).await, RoleGrantDeletePayload::new).await
    }
}

async fn again(ctx: &Context<'_>, id: RoleGrantId) -> Result<Option<Grant>, Error> {
    grants::find(&gql::scope(ctx), id).await
}
