//! Who gained or lost which rights, when, by whom and why: the permission audit in the API.

use async_graphql::{Context, ID, InputObject, Object, Result};

use super::{AuditLogNode, known};
use crate::{
    access::{Permission, Permission::AuditLogsRead},
    connection,
    domain::{
        Error,
        audit::{
            loaders::AuditLogById,
            service::{self, AccessList},
            types::{AccessChangeRow, AccessFind, ActorKind, SubjectKind, public_id},
        },
        gql::{self, Ahead, Answer, answer},
    },
    graphql::{
        PageArgs,
        directives::{PAGED, list_size, requires_scopes, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
    ids::{ApiKeyId, GroupId, Id, MemberId, ServiceAccountId},
};

/// A change of somebody's rights.
pub struct AccessChangeNode(pub AccessChangeRow);

/// A change of somebody's rights: who gained or lost what, where, by whom and why.
#[Object(
    name = "AccessChange",
    directive = requires_scopes::apply(AuditLogsRead),
    directive = tenant_scoped::apply()
)]
impl AccessChangeNode {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// When it was done.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// What was done, for example `role_grant.create`.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// Whose rights have changed.
    async fn subject_kind(&self) -> SubjectKind {
        self.0.subject_kind
    }

    /// Which one's.
    async fn subject_id(&self) -> ID {
        public_id(self.0.subject_kind.as_str(), self.0.subject_id).into()
    }

    /// The group through which it concerns a member.
    async fn group_id(&self) -> Option<ID> {
        self.0.group_id.map(|id| GroupId::from_uuid(id).into())
    }

    /// The role that was given, taken or changed; null where it is about several, or about an API key.
    async fn role_id(&self) -> Option<ID> {
        self.0.role_id.map(ID::from)
    }

    /// The workspace it holds in, with those below it; null is the whole tenant.
    async fn workspace_id(&self) -> Option<ID> {
        self.0.workspace_id.map(ID::from)
    }

    /// What is allowed from then on, or no longer denied.
    #[graphql(directive = list_size::apply(100))]
    async fn gained(&self) -> Vec<Permission> {
        known(&self.0.gained)
    }

    /// What is no longer allowed, or denied from then on.
    #[graphql(directive = list_size::apply(100))]
    async fn lost(&self) -> Vec<Permission> {
        known(&self.0.lost)
    }

    /// When what was given ends; null means never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// Why, as far as somebody said.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// What kind of principal did it.
    async fn actor_kind(&self) -> ActorKind {
        self.0.actor_kind
    }

    /// Who did it; null where the kind has no id.
    async fn actor_id(&self) -> Option<ID> {
        Some(public_id(self.0.actor_kind.as_str(), self.0.actor_id?).into())
    }

    /// The entry of the audit log that it is part of.
    async fn audit_log(&self, ctx: &Context<'_>) -> Answer<AuditLogNode> {
        answer(service::find(&gql::scope(ctx), self.0.audit_id).await.map(|entry| entry.map(AuditLogNode)))
    }
}

connection!(AccessChangeConnection, AccessChangeEdge, AccessChangeNode, "A page of changes of rights.");

/// Which changes of rights a list holds. All conditions must hold.
#[derive(Debug, Default, InputObject)]
pub struct AccessChangeFilter {
    /// Of this member, directly or by joining or leaving a group.
    member_id: Option<ID>,
    /// Of this group, and of members by joining or leaving it.
    group_id: Option<ID>,
    /// Of this service account.
    service_account_id: Option<ID>,
    /// Of this API key.
    api_key_id: Option<ID>,
    /// By this role: given, taken or changed.
    role_id: Option<ID>,
    /// In this workspace itself.
    workspace_id: Option<ID>,
    /// By which this permission was gained or lost.
    permission: Option<Permission>,
    /// At this instant or later, to the millisecond.
    from: Option<DateTime>,
    /// Before this instant, to the millisecond.
    to: Option<DateTime>,
}

impl AccessChangeFilter {
    fn find(self) -> Result<AccessFind, Error> {
        let member = self.member_id.as_ref().map(parse::<MemberId>).transpose()?.map(Id::uuid);
        let account = self.service_account_id.as_ref().map(parse::<ServiceAccountId>).transpose()?.map(Id::uuid);
        let key = self.api_key_id.as_ref().map(parse::<ApiKeyId>).transpose()?.map(Id::uuid);
        Ok(AccessFind {
            subjects: [member, account, key].into_iter().flatten().collect(),
            group: self.group_id.as_ref().map(parse::<GroupId>).transpose()?.map(Id::uuid),
            role: self.role_id.as_ref().map(parse).transpose()?,
            workspace: self.workspace_id.as_ref().map(parse).transpose()?,
            permission: self.permission,
            from: self.from.map(|at| at.0),
            to: self.to.map(|at| at.0),
        })
    }
}

/// Reads of the permission audit.
#[derive(Default)]
pub struct AccessAuditQuery;

#[Object]
impl AccessAuditQuery {
    /// Who gained or lost which rights, newest first, as far as you may read the audit log there.
    #[graphql(
        directive = requires_scopes::apply(AuditLogsRead),
        directive = tenant_scoped::apply(),
        directive = list_size::apply(PAGED)
    )]
    async fn access_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which changes.")] filter: Option<AccessChangeFilter>,
        #[graphql(desc = "So many from the start, 1 to 100; 25 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Begin after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "End before this cursor.")] before: Option<String>,
    ) -> Answer<AccessChangeConnection> {
        let page = async {
            let page = PageArgs { first, after, last, before }.check()?;
            let list = AccessList { find: filter.unwrap_or_default().find()?, page };
            let scope = gql::scope(ctx);
            let page = service::access_changes(gql::services(ctx), &scope, list).await?;
            if Ahead::items(ctx).field("auditLog").exists() {
                let entries = page.items.iter().map(|change| change.audit_id);
                scope.look_ahead::<AuditLogById>(gql::keys(entries)).await;
            }
            Ok(Some(AccessChangeConnection(page.map(AccessChangeNode, |node| &node.0))))
        };
        answer(Box::pin(page).await)
    }
}
