//! Members in the API, and the people behind them: what is read. Changes are in `mutations`.

mod mutations;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};

pub use mutations::MembersMutation;

use super::{
    loaders::{MemberById, UserById},
    service::{self, MemberList},
    types::{Member, MemberFind, MemberStatus, User},
};
use crate::{
    access::Permission::{MembersRead, TasksRead},
    connection,
    domain::{
        Error,
        gql::{self, Ahead, Answer, answer},
        reading::ReadScope,
        roles::graphql::grants::{RoleGrantNode, grants_of, look_ahead_grants},
        tasks::{
            self,
            graphql::{TaskConnection, TaskFilter, TaskOrder, task_connection, task_list},
        },
    },
    graphql::{
        PageArgs,
        directives::{PAGED, authenticated, list_size, requires_scopes, sensitive, tenant_scoped},
        ids::parse,
        inline::InlineList,
        scalars::DateTime,
    },
    ids::MemberId,
};

/// A person, across tenants. Shown to themselves, and to those who see them as a member.
pub struct UserNode(pub User);

/// A person, across tenants. Shown to themselves, and to those who see them as a member.
#[Object(name = "User", directive = authenticated::apply())]
impl UserNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The person's own name for themselves.
    async fn display_name(&self) -> &str {
        &self.0.display_name
    }

    /// The primary e-mail address; null until it is verified.
    #[graphql(directive = sensitive::apply())]
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }
}

/// A person inside the tenant.
pub struct MemberNode(pub Member);

/// A person inside the tenant.
#[Object(
    name = "Member",
    directive = requires_scopes::apply(MembersRead),
    directive = tenant_scoped::apply()
)]
impl MemberNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The person; null if the account is gone.
    async fn user(&self, ctx: &Context<'_>) -> Answer<UserNode> {
        answer(self.person(&gql::scope(ctx)).await.map(|user| user.map(UserNode)))
    }

    /// The name the member goes by here: the one given in this tenant, else the person's own.
    async fn display_name(&self, ctx: &Context<'_>) -> Result<String> {
        match &self.0.display_name_override {
            Some(name) => Ok(name.clone()),
            None => Ok(self.person(&gql::scope(ctx)).await?.map_or_else(String::new, |user| user.display_name)),
        }
    }

    /// Where the member stands.
    async fn status(&self) -> MemberStatus {
        self.0.status
    }

    /// When the person became a member.
    async fn joined_at(&self) -> DateTime {
        DateTime(self.0.joined_at)
    }

    /// When the entry was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Grows with every change; send it back with yours to notice those of others.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The roles the member holds now, without those of groups: tenant-wide ones, and those on workspaces you see. The
    /// first 20; `roleGrants` pages through all.
    #[graphql(directive = list_size::apply(20))]
    async fn role_grants(&self, ctx: &Context<'_>) -> Result<InlineList<RoleGrantNode>> {
        Ok(InlineList(grants_of(&gql::scope(ctx), self.0.id).await?))
    }

    /// The tasks assigned to the member, as far as you may see them; newest first unless ordered otherwise.
    #[graphql(directive = requires_scopes::apply(TasksRead), directive = list_size::apply(PAGED))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn assigned_tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<TaskFilter>,
        #[graphql(desc = "In which order.")] order_by: Option<TaskOrder>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<TaskConnection> {
        let page = async {
            let list = task_list(filter, order_by, PageArgs { first, after, last, before }, &Ahead::items(ctx))?;
            let (scope, parent) = (gql::scope(ctx), tasks::service::Parent::Assignee);
            let page = tasks::service::list_under(gql::services(ctx), &scope, parent, self.0.id, list).await?;
            Ok(Some(task_connection(page)))
        };
        answer(Box::pin(page).await)
    }
}

impl MemberNode {
    async fn person(&self, scope: &ReadScope) -> Result<Option<User>, Error> {
        scope.load::<UserById>(self.0.user_id).await
    }
}

connection!(MemberConnection, MemberEdge, MemberNode, "A page of members.");

/// Which members a list holds. All conditions must hold.
#[derive(Debug, Default, InputObject)]
pub struct MemberFilter {
    /// With this status.
    status: Option<MemberStatus>,
    /// Who hold this role now, tenant-wide or on a workspace. Needs `roles:read`.
    role_id: Option<ID>,
}

/// By what members can be ordered; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum MemberOrderField {
    /// When they were entered.
    CreatedAt,
}

/// The order of a list of members.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct MemberOrder {
    /// By what.
    field: MemberOrderField,
    /// In which direction.
    direction: gql::OrderDirection,
}

/// A page of members for the field `field`, with what is selected of them: each level in one flight.
pub(crate) async fn connection(
    ctx: &Context<'_>,
    field: &'static str,
    search: Option<String>,
    filter: Option<MemberFilter>,
    order: Option<MemberOrder>,
    page: PageArgs,
) -> Result<Option<MemberConnection>, Error> {
    let filter = filter.unwrap_or_default();
    let MemberOrder { field: MemberOrderField::CreatedAt, direction } =
        order.unwrap_or(MemberOrder { field: MemberOrderField::CreatedAt, direction: gql::OrderDirection::Desc });
    let list = MemberList {
        field,
        find: MemberFind { status: filter.status, role: filter.role_id.as_ref().map(parse).transpose()?, terms: None },
        search,
        descending: direction == gql::OrderDirection::Desc,
        page: page.check()?,
    };
    let scope = gql::scope(ctx);
    let page = service::list(gql::services(ctx), &scope, list).await?;
    look_ahead_of(&scope, &page.items, &Ahead::items(ctx)).await;
    Ok(Some(MemberConnection(page.map(MemberNode, |node| &node.0))))
}

/// Loads these members with what is selected of them: each level in one flight.
pub async fn look_ahead(scope: &ReadScope, ids: Vec<MemberId>, selected: &Ahead<'_>) {
    scope.look_ahead::<MemberById>(ids.clone()).await;
    let loaded = ids.into_iter().map(|id| scope.load::<MemberById>(id));
    let members: Vec<Member> =
        futures::future::join_all(loaded).await.into_iter().filter_map(|found| found.ok()?).collect();
    Box::pin(look_ahead_of(scope, &members, selected)).await;
}

async fn look_ahead_of(scope: &ReadScope, members: &[Member], selected: &Ahead<'_>) {
    let all_people = selected.field("user").exists();
    let some_people = selected.field("displayName").exists();
    let people = (members.iter())
        .filter(|member| all_people || some_people && member.display_name_override.is_none())
        .map(|member| member.user_id);
    let ids = members.iter().map(|member| member.id).collect();
    let grants = selected.field("roleGrants");
    futures::join!(scope.look_ahead::<UserById>(gql::keys(people)), Box::pin(look_ahead_grants(scope, ids, &grants)));
}

/// Reads of members.
#[derive(Default)]
pub struct MembersQuery;

#[Object]
impl MembersQuery {
    /// The member with this id, or null if there is none you may see.
    #[graphql(directive = requires_scopes::apply(MembersRead), directive = tenant_scoped::apply())]
    async fn member(&self, ctx: &Context<'_>, #[graphql(desc = "The member's id.")] id: ID) -> Answer<MemberNode> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(MemberNode)) };
        answer(found.await)
    }

    /// The members you may see, newest first unless ordered otherwise.
    #[graphql(
        directive = requires_scopes::apply(MembersRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
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
        answer(connection(ctx, "Query.members", search, filter, order_by, page).await)
    }
}
