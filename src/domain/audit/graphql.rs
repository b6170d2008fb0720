//! The audit log in the API.

pub mod access;

use async_graphql::{Context, ID, InputObject, Object, Result};
use uuid::Uuid;

use super::{
    service::{self, AuditList, MAX_ACTIONS},
    types::{ActorKind, AuditFind, AuditLog, AuditOutcome, AuditSource, public_id},
};
use crate::{
    access::{Permission, Permission::AuditLogsRead},
    connection,
    domain::{
        Error,
        api_keys::loaders::ApiKeyById,
        gql::{self, Ahead, Answer, answer, nullable},
        members::loaders::{NameOfMember, UserById},
    },
    graphql::{
        ApiError, PageArgs,
        directives::{PAGED, list_size, requires_scopes, tenant_scoped},
        scalars::{DateTime, Json},
    },
    ids::{self, ApiKeyId, Id, MemberId, RequestId, UserId},
};

/// An entry of the audit log: who did what, when, to what.
pub struct AuditLogNode(pub AuditLog);

/// An entry of the audit log: who did what, when, to what.
#[Object(
    name = "AuditLog",
    directive = requires_scopes::apply(AuditLogsRead),
    directive = tenant_scoped::apply()
)]
impl AuditLogNode {
    /// Its id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// When it was done.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// What was done, for example `task.create`; the schema's `@audited` names them.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// How it ended.
    async fn outcome(&self) -> AuditOutcome {
        self.0.outcome
    }

    /// Who did it.
    async fn actor(&self) -> ActorNode<'_> {
        ActorNode(&self.0)
    }

    /// What kind of thing it was done to, for example `task`.
    async fn target_kind(&self) -> Option<&str> {
        self.0.target_kind.as_deref()
    }

    /// The id of the thing it was done to; of a table of your own, its plain uuid.
    async fn target_id(&self) -> Option<ID> {
        let (kind, id) = (self.0.target_kind.as_deref()?, self.0.target_id?);
        Some(public_id(kind, id).into())
    }

    /// The workspace it was done in.
    async fn workspace_id(&self) -> Option<ID> {
        self.0.workspace_id.map(ID::from)
    }

    /// The request, as in the header `x-request-id` and in the server's logs.
    async fn request_id(&self) -> Option<String> {
        let bytes = self.0.request_id?.into_bytes();
        RequestId::from_trace(bytes).map(|request| request.to_string())
    }

    /// The name of the GraphQL operation.
    async fn operation_name(&self) -> Option<&str> {
        self.0.operation_name.as_deref()
    }

    /// Through which door it came.
    async fn source(&self) -> AuditSource {
        self.0.source
    }

    /// The permissions that were asked for and held when it was done; empty for what was refused, and for what needs none.
    #[graphql(directive = list_size::apply(10))]
    async fn used_permissions(&self) -> Vec<Permission> {
        known(&self.0.used_permissions)
    }

    /// More about it: ids and names of fields, never personal data.
    async fn detail(&self) -> Json {
        Json(self.0.detail.clone())
    }
}

/// Stored names as permissions; names that this release does not know are left out.
fn known(names: &[Option<String>]) -> Vec<Permission> {
    names.iter().flatten().filter_map(|name| name.parse().ok()).collect()
}

connection!(AuditLogConnection, AuditLogEdge, AuditLogNode, "A page of the audit log.");

/// The one who acted.
pub struct ActorNode<'a>(&'a AuditLog);

/// The one who acted.
#[Object(name = "Actor")]
impl ActorNode<'_> {
    /// What kind of principal it is.
    async fn kind(&self) -> ActorKind {
        self.0.actor_kind
    }

    /// Its id; null where the kind has none.
    async fn id(&self) -> Option<ID> {
        let id = self.0.actor_id?;
        Some(public_id(self.0.actor_kind.as_str(), id).into())
    }

    /// The name of the member, person or API key; null if it is gone, or not yours to see.
    async fn label(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        nullable(service::actor_label(&gql::scope(ctx), self.0).await)
    }
}

/// Which entries of the audit log a list holds. All conditions must hold.
#[derive(Debug, Default, InputObject)]
pub struct AuditLogFilter {
    /// At this instant or later, to the millisecond.
    from: Option<DateTime>,
    /// Before this instant, to the millisecond.
    to: Option<DateTime>,
    /// One of these actions, up to 50.
    actions: Option<Vec<String>>,
    /// Done by this member, person or API key.
    actor_id: Option<ID>,
    /// Done to the thing with this id, as `targetId` shows it.
    target_id: Option<ID>,
    /// Ended like this.
    outcome: Option<AuditOutcome>,
}

impl AuditLogFilter {
    pub(super) fn find(self) -> Result<AuditFind, Error> {
        let actions = self.actions.unwrap_or_default();
        if actions.len() > MAX_ACTIONS {
            let message = format!("A filter names at most {MAX_ACTIONS} actions.");
            return Err(ApiError::bad_input("filter", message).with("max", MAX_ACTIONS).into());
        }
        let target = self.target_id.map(|id| id.parse::<Uuid>().or_else(|_| any_id(&id))).transpose()?;
        Ok(AuditFind {
            from: self.from.map(|at| at.0),
            to: self.to.map(|at| at.0),
            actions,
            actor: self.actor_id.as_ref().map(any_id).transpose()?,
            target,
            outcome: self.outcome,
        })
    }
}

fn any_id(id: &ID) -> Result<Uuid, Error> {
    Ok(ids::parse_any(id).map(|(_, id)| id)?)
}

/// A page of entries for the field `field`, with what is selected of them.
pub(crate) async fn connection(
    ctx: &Context<'_>,
    field: &'static str,
    filter: Option<AuditLogFilter>,
    page: PageArgs,
) -> Result<Option<AuditLogConnection>, Error> {
    let list = AuditList { field, find: filter.unwrap_or_default().find()?, page: page.check()? };
    let scope = gql::scope(ctx);
    let page = service::list(gql::services(ctx), &scope, list).await?;
    if Ahead::items(ctx).field("actor").field("label").exists() {
        let of =
            |kind| page.items.iter().filter(move |entry| entry.actor_kind == kind).filter_map(|entry| entry.actor_id);
        futures::join!(
            scope.look_ahead::<NameOfMember>(gql::keys(of(ActorKind::Member).map(MemberId::from_uuid))),
            scope.look_ahead::<UserById>(gql::keys(of(ActorKind::User).map(UserId::from_uuid))),
            scope.look_ahead::<ApiKeyById>(gql::keys(of(ActorKind::ApiKey).map(ApiKeyId::from_uuid))),
        );
    }
    Ok(Some(AuditLogConnection(page.map(AuditLogNode, |node| &node.0))))
}

/// Reads of the audit log.
#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// The entries of the audit log that you may see, newest first.
    #[graphql(
        directive = requires_scopes::apply(AuditLogsRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn audit_logs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which entries.")] filter: Option<AuditLogFilter>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<AuditLogConnection> {
        answer(connection(ctx, "Query.auditLogs", filter, PageArgs { first, after, last, before }).await)
    }
}
