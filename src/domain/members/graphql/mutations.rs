//! Changes of members: inputs, payloads, fields.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::MemberNode;
use crate::{
    access::Permission::{MembersRemove, MembersSuspend},
    domain::{
        audit::Action,
        gql,
        members::{
            changes, service,
            types::{Gone, Member},
        },
    },
    graphql::{
        UserError,
        directives::{audited, authenticated, requires_scopes, tenant_scoped},
        ids::parse,
    },
    ids::MemberId,
};

macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, InputObject)]
        pub struct $name {
            /// The member.
            id: ID,
            /// The version you saw; refused if somebody was faster.
            version: Option<i32>,
        }
    )*};
}

inputs! {
    /// A member to shut out for a while.
    MemberSuspendInput,
    /// A suspended member to let in again.
    MemberReactivateInput,
    /// A member to remove.
    MemberRemoveInput,
}

/// Changes of a member. What is absent stays, null clears.
#[derive(Debug, InputObject)]
pub struct MemberUpdateInput {
    /// The member.
    id: ID,
    /// The version you changed; the change is refused if somebody was faster.
    version: Option<i32>,
    /// The name the member goes by in this tenant, 1 to 120 characters; null goes back to the person's own.
    display_name: MaybeUndefined<String>,
}

macro_rules! member_payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The member; null if nothing was written.
            member: Option<MemberNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(member: Option<Member>, user_errors: Vec<UserError>) -> Self {
                Self { member: member.map(MemberNode), user_errors }
            }
        }
    )*};
}

member_payloads! {
    /// What `memberSuspend` did.
    MemberSuspendPayload,
    /// What `memberReactivate` did.
    MemberReactivatePayload,
    /// What `memberUpdate` did.
    MemberUpdatePayload,
}

macro_rules! gone_payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The id of the membership that has ended; null if nothing was written.
            member_id: Option<ID>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(gone: Option<Gone>, user_errors: Vec<UserError>) -> Self {
                Self { member_id: gone.map(|gone| gone.member.into()), user_errors }
            }
        }
    )*};
}

gone_payloads! {
    /// What `memberRemove` did.
    MemberRemovePayload,
    /// What `memberLeave` did.
    MemberLeavePayload,
}

/// Changes of members.
#[derive(Default)]
pub struct MembersMutation;

#[Object]
impl MembersMutation {
    /// Shuts a member out: from the next request on nothing is open to them, and their API keys rest. They keep their roles;
    /// their seat is free.
    #[graphql(
        directive = requires_scopes::apply(MembersSuspend),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::MemberSuspend.name())
    )]
    async fn member_suspend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which member.")] input: MemberSuspendInput,
    ) -> Option<Result<MemberSuspendPayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            changes::suspend(services, request, parse(&input.id)?, input.version).await
        };
        let again = async |id| service::find(&gql::scope(ctx), id).await;
        gql::payload(written.await, again, MemberSuspendPayload::new).await
    }

    /// Lets a suspended member in again, with the roles they had.
    #[graphql(
        directive = requires_scopes::apply(MembersSuspend),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::MemberReactivate.name())
    )]
    async fn member_reactivate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which member.")] input: MemberReactivateInput,
    ) -> Option<Result<MemberReactivatePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            changes::reactivate(services, request, parse(&input.id)?, input.version).await
        };
        let again = async |id| service::find(&gql::scope(ctx), id).await;
        gql::payload(written.await, again, MemberReactivatePayload::new).await
    }

    /// Removes a member. With the membership end its roles, its places in workspaces and its API keys; open tasks and active
    /// projects lose it as assignee or owner. The person can be added again, as a new member.
    #[graphql(
        directive = requires_scopes::apply(MembersRemove),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::MemberRemove.name())
    )]
    async fn member_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which member.")] input: MemberRemoveInput,
    ) -> Option<Result<MemberRemovePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            changes::remove(services, request, parse(&input.id)?, input.version).await
        };
        gql::payload(written.await, gone, MemberRemovePayload::new).await
    }

    /// Ends your own membership, as `memberRemove` would. The last owner stays.
    #[graphql(
        directive = authenticated::apply(),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::MemberLeave.name())
    )]
    async fn member_leave(&self, ctx: &Context<'_>) -> Option<Result<MemberLeavePayload>> {
        gql::renew(ctx);
        let written = changes::leave(gql::services(ctx), gql::request(ctx)).await;
        gql::payload(written, gone, MemberLeavePayload::new).await
    }

    /// Changes what the tenant says about a member. Of oneself everybody may; of others it needs `members:write`.
    #[graphql(
        directive = authenticated::apply(),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::MemberUpdate.name())
    )]
    async fn member_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: MemberUpdateInput,
    ) -> Option<Result<MemberUpdatePayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            let name = gql::changed(input.display_name);
            changes::update(services, request, parse(&input.id)?, input.version, name).await
        };
        let again = async |id| service::find(&gql::scope(ctx), id).await;
        gql::payload(written.await, again, MemberUpdatePayload::new).await
    }
}

/// What an earlier request with the same idempotency key has ended.
async fn gone(member: MemberId) -> std::result::Result<Option<Gone>, crate::domain::Error> {
    Ok(Some(Gone { member }))
}
