//! Who belongs to a workspace, in the API.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use crate::{
    access::Permission::{MembersRead, WorkspaceMembersWrite},
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Ahead, Answer, answer},
        members::{self, graphql::MemberNode},
        workspaces::{
            roster, service,
            types::{TakenOut, WorkspaceMember},
        },
    },
    graphql::{
        PageArgs, UserError,
        directives::{PAGED, audited, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::WorkspaceId,
};

/// A member's place in a workspace.
pub struct WorkspaceMemberNode(WorkspaceMember);

/// A member's place in a workspace.
#[Object(
    name = "WorkspaceMember",
    directive = requires_scopes::apply(MembersRead),
    directive = tenant_scoped::apply()
)]
impl WorkspaceMemberNode {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The member; null if you may not see them.
    async fn member(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        answer(members::service::find(&gql::scope(ctx), self.0.member_id).await.map(|found| found.map(MemberNode)))
    }

    /// Since when.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

connection!(
    WorkspaceMemberConnection,
    WorkspaceMemberEdge,
    WorkspaceMemberNode,
    "A page of the members of a workspace."
);

/// A page of the members of a workspace for the field `field`, with what is selected of them.
pub(super) async fn page(
    ctx: &Context<'_>,
    field: &'static str,
    workspace: WorkspaceId,
    page: PageArgs,
) -> Result<WorkspaceMemberConnection, Error> {
    let (scope, asked) = (gql::scope(ctx), page.check()?);
    let page = service::list_members(gql::services(ctx), &scope, field, workspace, asked).await?;
    let member = Ahead::items(ctx).field("member");
    if member.exists() {
        let ids = gql::keys(page.items.iter().map(|row| row.member_id));
        members::graphql::look_ahead(&scope, ids, &member).await;
    }
    Ok(WorkspaceMemberConnection(page.map(WorkspaceMemberNode, |node| &node.0)))
}

/// Reads of who belongs to a workspace.
#[derive(Default)]
pub struct RosterQuery;

#[Object]
impl RosterQuery {
    /// The members who belong to a workspace, in the order in which they were added; null if there is no such workspace that
    /// you may see.
    #[graphql(
        directive = requires_scopes::apply(MembersRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn workspace_members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workspace's id.")] workspace_id: ID,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<WorkspaceMemberConnection> {
        let found = async {
            let workspace = parse(&workspace_id)?;
            if service::find(&gql::scope(ctx), workspace).await?.is_none() {
                return Ok(None);
            }
            page(ctx, "Query.workspaceMembers", workspace, PageArgs { first, after, last, before }).await.map(Some)
        };
        answer(found.await)
    }
}

/// A member to add to a workspace.
#[derive(Debug, InputObject)]
pub struct WorkspaceMemberAddInput {
    /// The workspace.
    workspace_id: ID,
    /// The member.
    member_id: ID,
}

/// A member to take out of a workspace.
#[derive(Debug, InputObject)]
pub struct WorkspaceMemberRemoveInput {
    /// The workspace.
    workspace_id: ID,
    /// The member.
    member_id: ID,
}

/// What `workspaceMemberAdd` did.
#[derive(SimpleObject)]
pub struct WorkspaceMemberAddPayload {
    /// The member's place; null if nothing was written.
    workspace_member: Option<WorkspaceMemberNode>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

/// What `workspaceMemberRemove` did.
#[derive(SimpleObject)]
pub struct WorkspaceMemberRemovePayload {
    /// The id of the member who was taken out; null if nothing was written.
    member_id: Option<ID>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

/// Changes of who belongs to a workspace.
#[derive(Default)]
pub struct RosterMutation;

#[Object]
impl RosterMutation {
    /// Adds a member to a workspace. Belonging gives no right: what the member may do there, their roles say.
    #[graphql(
        directive = requires_scopes::apply(WorkspaceMembersWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::WorkspaceMemberAdd.name())
    )]
    async fn workspace_member_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom, and where.")] input: WorkspaceMemberAddInput,
    ) -> Option<Result<WorkspaceMemberAddPayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            roster::add(services, request, parse(&input.workspace_id)?, parse(&input.member_id)?).await
        };
        gql::payload(
            written.await,
            async |id| roster::find(&gql::scope(ctx), id).await,
            |place, user_errors| WorkspaceMemberAddPayload {
                workspace_member: place.map(WorkspaceMemberNode),
                user_errors,
            },
        )
        .await
    }

    /// Takes a member out of a workspace, with the roles that were given on this very workspace. Needs `roles:grant` there
    /// as well if there are any.
    #[graphql(
        directive = requires_scopes::apply(WorkspaceMembersWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::WorkspaceMemberRemove.name())
    )]
    async fn workspace_member_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom, and where.")] input: WorkspaceMemberRemoveInput,
    ) -> Option<Result<WorkspaceMemberRemovePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            roster::take_out(services, request, parse(&input.workspace_id)?, parse(&input.member_id)?).await
        };
        gql::payload(
            written.await,
            async |member| Ok(Some(TakenOut(member))),
            |taken, user_errors| WorkspaceMemberRemovePayload {
                member_id: taken.map(|TakenOut(member)| member.into()),
                user_errors,
            },
        )
        .await
    }
}
