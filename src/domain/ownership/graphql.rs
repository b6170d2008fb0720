//! Handing over the ownership, in the API.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{
    service,
    types::{OwnershipTransfer, OwnershipTransferState},
};
use crate::{
    domain::{
        audit::Action,
        gql::{self, Answer, answer},
        members::{self, graphql::MemberNode},
    },
    graphql::{
        UserError,
        directives::{audited, authenticated, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
};

/// An offer of ownership.
pub struct OwnershipTransferNode(OwnershipTransfer);

/// An offer of the ownership of the tenant, from an owner to another member. Shown to owners and to the one it is made to.
#[Object(name = "OwnershipTransfer", directive = authenticated::apply(), directive = tenant_scoped::apply())]
impl OwnershipTransferNode {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The id of the owner who offers it.
    async fn from_member_id(&self) -> ID {
        self.0.from_member_id.into()
    }

    /// The id of the member to whom it is offered.
    async fn to_member_id(&self) -> ID {
        self.0.to_member_id.into()
    }

    /// The owner who offers it; null if you may not see them.
    async fn from_member(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        answer(members::service::find(&gql::scope(ctx), self.0.from_member_id).await.map(|found| found.map(MemberNode)))
    }

    /// The member to whom it is offered; null if you may not see them.
    async fn to_member(&self, ctx: &Context<'_>) -> Answer<MemberNode> {
        answer(members::service::find(&gql::scope(ctx), self.0.to_member_id).await.map(|found| found.map(MemberNode)))
    }

    /// Where it stands.
    async fn state(&self) -> OwnershipTransferState {
        self.0.state
    }

    /// Until when it can be accepted.
    async fn expires_at(&self) -> DateTime {
        DateTime(self.0.expires_at)
    }

    /// When it was answered or taken back.
    async fn resolved_at(&self) -> Option<DateTime> {
        self.0.resolved_at.map(DateTime)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// Reads of offers of ownership.
#[derive(Default)]
pub struct OwnershipQuery;

#[Object]
impl OwnershipQuery {
    /// The offer of ownership that waits for an answer, or null if there is none you may see.
    #[graphql(directive = authenticated::apply(), directive = tenant_scoped::apply())]
    async fn ownership_transfer(&self, ctx: &Context<'_>) -> Answer<OwnershipTransferNode> {
        answer(service::pending(&gql::scope(ctx)).await.map(|offer| offer.map(OwnershipTransferNode)))
    }
}

/// To whom the ownership is offered.
#[derive(Debug, InputObject)]
pub struct OwnershipTransferRequestInput {
    /// The member who becomes an owner on acceptance.
    to_member_id: ID,
    /// The tenant's slug, so that it does not happen by mistake.
    confirm: String,
}

/// An offer of ownership to accept.
#[derive(Debug, InputObject)]
pub struct OwnershipTransferAcceptInput {
    /// The offer.
    id: ID,
}

/// An offer of ownership to take back or decline.
#[derive(Debug, InputObject)]
pub struct OwnershipTransferCancelInput {
    /// The offer.
    id: ID,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The offer; null if nothing was written.
            ownership_transfer: Option<OwnershipTransferNode>,
            /// What to correct. Empty means that it was done.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(offer: Option<OwnershipTransfer>, user_errors: Vec<UserError>) -> Self {
                Self { ownership_transfer: offer.map(OwnershipTransferNode), user_errors }
            }
        }
    )*};
}

payloads! {
    /// What `ownershipTransferRequest` did.
    OwnershipTransferRequestPayload,
    /// What `ownershipTransferAccept` did.
    OwnershipTransferAcceptPayload,
    /// What `ownershipTransferCancel` did.
    OwnershipTransferCancelPayload,
}

/// Changes of the ownership.
#[derive(Default)]
pub struct OwnershipMutation;

#[Object]
impl OwnershipMutation {
    /// Offers the ownership to another member, for seven days. Only an owner does, as a person who has signed in or called
    /// `reauthenticate` in the last ten minutes.
    #[graphql(
        directive = authenticated::apply(),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::OwnershipTransferRequest.name())
    )]
    async fn ownership_transfer_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "To whom.")] input: OwnershipTransferRequestInput,
    ) -> Option<Result<OwnershipTransferRequestPayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::request(services, request, parse(&input.to_member_id)?, &input.confirm).await
        };
        let again = async |id| service::find(&gql::scope(ctx), id).await;
        gql::payload(written.await, again, OwnershipTransferRequestPayload::new).await
    }

    /// Accepts an offer that was made to you: you become an owner, whoever made it becomes an administrator. Asks for a
    /// proof of the last ten minutes, as `ownershipTransferRequest` does.
    #[graphql(
        directive = authenticated::apply(),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::OwnershipTransferAccept.name())
    )]
    async fn ownership_transfer_accept(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which offer.")] input: OwnershipTransferAcceptInput,
    ) -> Option<Result<OwnershipTransferAcceptPayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::accept(services, request, parse(&input.id)?).await
        };
        let again = async |id| service::find(&gql::scope(ctx), id).await;
        gql::payload(written.await, again, OwnershipTransferAcceptPayload::new).await
    }

    /// Takes an offer back, as an owner, or declines it, as the one to whom it was made.
    #[graphql(
        directive = authenticated::apply(),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::OwnershipTransferCancel.name())
    )]
    async fn ownership_transfer_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which offer.")] input: OwnershipTransferCancelInput,
    ) -> Option<Result<OwnershipTransferCancelPayload>> {
        gql::renew(ctx);
        let written = async {
            let (services, request) = (gql::services(ctx), gql::request(ctx));
            service::cancel(services, request, parse(&input.id)?).await
        };
        let again = async |id| service::find(&gql::scope(ctx), id).await;
        gql::payload(written.await, again, OwnershipTransferCancelPayload::new).await
    }
}
