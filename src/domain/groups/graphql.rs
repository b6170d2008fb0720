//! Groups in the API.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{
    service,
    types::{Group, GroupChanges, GroupMember},
};
use crate::{
    access::Permission::{GroupsRead, GroupsWrite, MembersRead},
    connection,
    domain::{
        Error,
        audit::Action,
        gql::{self, Answer, answer},
        members::{self, graphql::MemberNode, loaders::MemberById},
    },
    graphql::{
        PageArgs, UserError,
        directives::{PAGED, audited, list_size, requires_scopes, tenant_scoped},
        ids::{parse, parse_many},
        scalars::DateTime,
    },
    ids::GroupId,
};

/// A group of members, who hold together what roles are given to it.
pub struct GroupNode(pub Group);

/// A group of members, who hold together what roles are given to it.
#[Object(
    name = "Group",
    directive = requires_scopes::apply(GroupsRead),
    directive = tenant_scoped::apply()
)]
impl GroupNode {
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

    /// Its members, those first who came to the tenant first.
    #[graphql(directive = list_size::apply(PAGED))]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<GroupMemberConnection> {
        let page = async {
            let page = PageArgs { first, after, last, before }.check()?;
            let scope = gql::scope(ctx);
            let page = service::list_members(gql::services(ctx), &scope, self.0.id, page).await?;
            if gql::Ahead::items(ctx).field("member").exists() {
                scope.look_ahead::<MemberById>(page.items.iter().map(|row| row.member_id).collect()).await;
            }
            Ok(Some(GroupMemberConnection(page.map(GroupMemberNode, |node| &node.0))))
        };
        answer(Box::pin(page).await)
    }
}

connection!(GroupConnection, GroupEdge, GroupNode, "A page of groups.");

/// A member's place in a group.
pub struct GroupMemberNode(GroupMember);

/// A member's place in a group.
#[Object(name = "GroupMember", directive = tenant_scoped::apply())]
impl GroupMemberNode {
    /// The member's id.
    async fn member_id(&self) -> ID {
        self.0.member_id.into()
    }

    /// The member; null if you may not see them.
    #[graphql(directive = requires_scopes::apply(MembersRead))]
    async fn member(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        let found = members::service::find(&gql::scope(ctx), self.0.member_id).await;
        answer(found.map(|found| found.map(MemberNode)))
    }

    /// When the member was added.
    async fn added_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

connection!(GroupMemberConnection, GroupMemberEdge, GroupMemberNode, "A page of the members of a group.");

/// Reads of groups.
#[derive(Default)]
pub struct GroupsQuery;

#[Object]
impl GroupsQuery {
    /// The group with this id, or null if there is none you may see.
    #[graphql(directive = requires_scopes::apply(GroupsRead), directive = tenant_scoped::apply())]
    async fn group(&self, ctx: &Context<'_>, #[graphql(desc = "The group's id.")] id: ID) -> Answer<GroupNode> {
        let found = async { Ok(service::find(&gql::scope(ctx), parse(&id)?).await?.map(GroupNode)) };
        answer(found.await)
    }

    /// The tenant's groups, newest first.
    #[graphql(
        directive = requires_scopes::apply(GroupsRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<GroupConnection> {
        let page = async {
            let page = PageArgs { first, after, last, before }.check()?;
            let page = service::list(gql::services(ctx), &gql::scope(ctx), page).await?;
            Ok(Some(GroupConnection(page.map(GroupNode, |node| &node.0))))
        };
        answer(Box::pin(page).await)
    }
}

/// A new group.
#[derive(Debug, InputObject)]
pub struct GroupCreateInput {
    /// Its name, 1 to 80 characters.
    name: String,
    /// What it is for, up to 300 characters.
    description: Option<String>,
}

/// Changes of a group. What is absent stays.
#[derive(Debug, InputObject)]
pub struct GroupUpdateInput {
    /// The group.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: Option<i32>,
    /// Its name, 1 to 80 characters.
    name: Option<String>,
    /// What it is for, up to 300 characters; null empties it.
    description: MaybeUndefined<String>,
}

/// A group to delete.
#[derive(Debug, InputObject)]
pub struct GroupDeleteInput {
    /// The group.
    id: ID,
    /// The version you saw; refused if somebody was faster.
    version: Option<i32>,
    /// Why, up to 500 characters.
    reason: Option<String>,
}

macro_rules! member_inputs {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, InputObject)]
        pub struct $name {
            /// The group.
            group_id: ID,
            /// Which members, 1 to 100: all of them or none.
            member_ids: Vec<ID>,
            /// Why, up to 500 characters.
            reason: Option<String>,
        }
    )*};
}

member_inputs! {
    /// Members to put into a group.
    GroupMembersAddInput,
    /// Members to take out of a group.
    GroupMembersRemoveInput,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The group; null if nothing was written.
            group: Option<GroupNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(group: Option<Group>, user_errors: Vec<UserError>) -> Self {
                Self { group: group.map(GroupNode), user_errors }
            }
        }
    )*};
}

payloads! {
    /// What `groupCreate` did.
    GroupCreatePayload,
    /// What `groupUpdate` did.
    GroupUpdatePayload,
    /// What `groupDelete` did; the group as it was.
    GroupDeletePayload,
    /// What `groupMembersAdd` did.
    GroupMembersAddPayload,
    /// What `groupMembersRemove` did.
    GroupMembersRemovePayload,
}

/// Changes of groups.
#[derive(Default)]
pub struct GroupsMutation;

#[Object]
impl GroupsMutation {
    /// Creates a group without members.
    #[graphql(
        directive = requires_scopes::apply(GroupsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::GroupCreate.name())
    )]
    async fn group_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The group.")] input: GroupCreateInput,
    ) -> Option<Result<GroupCreatePayload>> {
        gql::renew(ctx);
        let written = service::create(gql::services(ctx), gql::request(ctx), input.name, input.description).await;
        gql::payload(written, async |id| again(ctx, id).await, GroupCreatePayload::new).await
    }

    /// Changes the name or the description of a group.
    #[graphql(
        directive = requires_scopes::apply(GroupsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::GroupUpdate.name())
    )]
    async fn group_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: GroupUpdateInput,
    ) -> Option<Result<GroupUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let description = gql::changed(input.description).map(Option::unwrap_or_default);
            let changes = GroupChanges { name: input.name, description };
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::update(services, request, parse(&input.id)?, input.version, changes).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, GroupUpdatePayload::new).await
    }

    /// Deletes a group, with the roles that were given to it: its members lose them.
    #[graphql(
        directive = requires_scopes::apply(GroupsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::GroupDelete.name())
    )]
    async fn group_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which group.")] input: GroupDeleteInput,
    ) -> Option<Result<GroupDeletePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::delete(services, request, parse(&input.id)?, input.version, input.reason).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, GroupDeletePayload::new).await
    }

    /// Puts members into a group: they hold its roles from then on. You must hold yourself what these roles allow.
    #[graphql(
        directive = requires_scopes::apply(GroupsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::GroupMembersAdd.name())
    )]
    async fn group_members_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who joins which group.")] input: GroupMembersAddInput,
    ) -> Option<Result<GroupMembersAddPayload>> {
        gql::renew(ctx);
        let written = async {
            let (group, members) = (parse(&input.group_id)?, parse_many(&input.member_ids)?);
            service::add_members(gql::services(ctx), gql::request(ctx), group, members, input.reason).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, GroupMembersAddPayload::new).await
    }

    /// Takes members out of a group: they lose what they held through it.
    #[graphql(
        directive = requires_scopes::apply(GroupsWrite),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::GroupMembersRemove.name())
    )]
    async fn group_members_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who leaves which group.")] input: GroupMembersRemoveInput,
    ) -> Option<Result<GroupMembersRemovePayload>> {
        gql::renew(ctx);
        let written = async {
            let (group, members) = (parse(&input.group_id)?, parse_many(&input.member_ids)?);
            service::remove_members(gql::services(ctx), gql::request(ctx), group, members, input.reason).await
        };
        gql::payload(written.await, async |id| again(ctx, id).await, GroupMembersRemovePayload::new).await
    }
}

async fn again(ctx: &Context<'_>, id: GroupId) -> Result<Option<Group>, Error> {
    service::find(&gql::scope(ctx), id).await
}
