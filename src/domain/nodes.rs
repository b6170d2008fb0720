//! `node` and `nodes`: anything by its id.
//!
//! An id says what it is of; the slice's own look-up decides whether the caller may see it, so this is the same door
//! with another handle. What an object type needs by `@requiresScopes` is asked for twice: by the policy pass where a
//! fragment names the type, and by the look-up for the type that the id turns out to be of.

use async_graphql::{Context, ID, Interface, Object, Result};

use super::{
    Error, api_keys, audit,
    gql::{self, nullable},
    groups, members, projects,
    reading::ReadScope,
    roles, service_accounts, tasks, tenants, workspaces,
};
use crate::{
    graphql::{
        ApiError, ErrorCode,
        directives::{BY_IDS, authenticated, list_size},
    },
    ids::{self, Id},
};

/// Most ids in one call of `nodes`.
pub const MAX_NODES: usize = 100;

macro_rules! nodes {
    ($($variant:ident: $($node:ident)::+, $id:ident, $find:path;)*) => {
        /// Anything that has an id of its own.
        #[derive(Interface)]
        #[graphql(field(name = "id", ty = "ID", desc = "Its id."))]
        pub enum Node { $(
            #[doc = concat!("A ", stringify!($variant), ".")]
            $variant($($node)::+),
        )* }

        /// The node that an id names, before anybody has looked whether it is there.
        #[derive(Clone, Copy)]
        enum Named { $($variant(ids::$id)),* }

        impl Named {
            fn parse(id: &str) -> Option<Self> {
                let (prefix, uuid) = ids::parse_any(id).ok()?;
                match prefix {
                    $(<ids::$id as Id>::PREFIX => Some(Self::$variant(Id::from_uuid(uuid))),)*
                    _ => None,
                }
            }

            async fn find(self, scope: &ReadScope) -> Result<Option<Node>, Error> {
                match self {
                    $(Self::$variant(id) => Ok($find(scope, id).await?.map(|found| Node::$variant($($node)::+(found.into())))),)*
                }
            }
        }
    };
}

nodes! {
    Tenant: tenants::graphql::TenantNode, TenantId, tenants::service::find;
    User: members::graphql::UserNode, UserId, members::service::find_user;
    Member: members::graphql::MemberNode, MemberId, members::service::find;
    Role: roles::graphql::RoleNode, RoleId, roles::service::find;
    RoleGrant: roles::graphql::grants::RoleGrantNode, RoleGrantId, roles::grants::find;
    Group: groups::graphql::GroupNode, GroupId, groups::service::find;
    ServiceAccount: service_accounts::graphql::ServiceAccountNode, ServiceAccountId, service_accounts::service::find;
    Workspace: workspaces::graphql::WorkspaceNode, WorkspaceId, workspaces::service::find;
    Project: projects::graphql::ProjectNode, ProjectId, projects::service::find;
    Task: tasks::graphql::TaskNode, TaskId, tasks::service::find;
    ApiKey: api_keys::graphql::ApiKeyNode, ApiKeyId, api_keys::service::find;
    AuditLog: audit::graphql::AuditLogNode, AuditLogId, audit::service::find;
}

fn parse(id: &ID) -> Result<Named, ApiError> {
    Named::parse(id).ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidId, "Expected the id of a node, for example tsk_01h455vb4pex5vsknk084sn02q.")
    })
}

/// Reads by id alone.
#[derive(Default)]
pub struct NodesQuery;

#[Object]
impl NodesQuery {
    /// Whatever has this id, or null if there is nothing you may see.
    #[graphql(directive = authenticated::apply())]
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "An id of any kind.")] id: ID) -> Option<Result<Node>> {
        let found = async { parse(&id)?.find(&gql::scope(ctx)).await };
        nullable(found.await)
    }

    /// Whatever has these ids, in their order, with null where there is nothing you may see.
    #[graphql(directive = authenticated::apply(), directive = list_size::apply(BY_IDS))]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Up to 100 ids of any kind.")] ids: Vec<ID>,
    ) -> Option<Result<Vec<Option<Node>>>> {
        let found = async {
            if ids.len() > MAX_NODES {
                let message = format!("Ask for at most {MAX_NODES} ids at once.");
                return Err(ApiError::bad_input("ids", message).with("max", MAX_NODES).into());
            }
            let named = ids.iter().enumerate().map(|(index, id)| parse(id).map_err(|error| error.with("index", index)));
            let named = named.collect::<Result<Vec<_>, _>>()?;
            let scope = gql::scope(ctx);
            futures::future::try_join_all(named.into_iter().map(|named| named.find(&scope))).await.map(Some)
        };
        nullable(found.await)
    }
}
