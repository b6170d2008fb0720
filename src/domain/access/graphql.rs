//! Explanations and reviews of rights in the API.

use async_graphql::{Context, Enum, ID, Object, OneofObject, Result, SimpleObject};
use secrecy::ExposeSecret;

use super::{
    explain::{self, Explanation, GrantTold, Reason, ReasonKind},
    tickets::{self, Ticket},
};
use crate::{
    access::{Permission, Permission::AuditLogsExport},
    context::Asked,
    domain::{
        Error,
        audit::Action,
        gql::{self, Answer, answer},
    },
    graphql::{
        UserError,
        directives::{audited, authenticated, cost, list_size, requires_scopes, sensitive, tenant_scoped},
        ids::parse,
        scalars::DateTime,
    },
};

/// Whose right is asked about: one of them.
#[derive(Debug, OneofObject)]
pub enum AccessPrincipalInput {
    /// A member.
    MemberId(ID),
    /// A service account.
    ServiceAccountId(ID),
    /// An API key.
    ApiKeyId(ID),
}

impl AccessPrincipalInput {
    fn read(&self) -> Result<Asked, Error> {
        Ok(match self {
            Self::MemberId(id) => Asked::Member(parse(id)?),
            Self::ServiceAccountId(id) => Asked::ServiceAccount(parse(id)?),
            Self::ApiKeyId(id) => Asked::ApiKey(parse(id)?),
        })
    }
}

/// Why somebody holds a right somewhere, or lacks it.
pub struct AccessExplanationNode(Explanation);

/// Why somebody holds a right somewhere, or lacks it.
#[Object(name = "AccessExplanation", directive = tenant_scoped::apply())]
impl AccessExplanationNode {
    /// Whether it is allowed: what a request of theirs would be told now.
    async fn is_allowed(&self) -> bool {
        self.0.is_allowed
    }

    /// The right that was asked about.
    async fn permission(&self) -> Permission {
        self.0.permission
    }

    /// Where; null is the tenant as a whole.
    async fn workspace_id(&self) -> Option<ID> {
        self.0.workspace.map(ID::from)
    }

    /// What gives it, or everything that stands in the way; never empty.
    #[graphql(directive = list_size::apply(10))]
    async fn reasons(&self) -> Vec<AccessReason> {
        self.0.reasons.iter().map(AccessReason::from).collect()
    }
}

/// What a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "ReasonKind")]
pub enum AccessReasonKind {
    /// A grant gives it.
    Granted,
    /// A grant denies it, whatever else allows it.
    Denied,
    /// A grant on a workspace has it, but only a grant for the whole tenant can give it.
    TenantOnly,
    /// A grant for the whole tenant has it, but the workspace is private, or lies in a private one.
    Private,
    /// The API key was not issued for it.
    OutsideScopes,
    /// The API key is restricted to workspaces that the place is not part of.
    OutsideWorkspaces,
    /// No grant that reaches the place has it.
    NotGranted,
    /// The member is suspended or the service account disabled; of an API key, its owner is.
    Suspended,
    /// The API key was revoked.
    KeyRevoked,
    /// The API key has expired, or was replaced.
    KeyExpired,
}

/// One reason of an explanation.
#[derive(Clone, Debug, SimpleObject)]
pub struct AccessReason {
    /// What it is.
    kind: AccessReasonKind,
    /// The same for people, in English; may change.
    message: String,
    /// What the role says literally: the permission itself, or one that implies it.
    permission: Option<Permission>,
    /// The grant that it comes from; null where it comes from none.
    grant: Option<AccessGrant>,
}

/// A grant in an explanation.
#[derive(Clone, Debug, SimpleObject)]
pub struct AccessGrant {
    /// The grant.
    role_grant_id: ID,
    /// From the role that was given to the one that says so, along the inheritance.
    #[graphql(directive = list_size::apply(11))]
    roles: Vec<AccessRole>,
    /// The group that holds it; null if the principal itself does.
    group_id: Option<ID>,
    /// The name of that group.
    group_name: Option<String>,
    /// Whether it was given for the whole tenant.
    is_tenant_wide: bool,
    /// From the workspace where it was given down to the place, as far as you see them; empty for the whole tenant.
    #[graphql(directive = list_size::apply(5))]
    workspaces: Vec<AccessWorkspace>,
    /// When it ends; null means never.
    expires_at: Option<DateTime>,
    /// The member who gave it; null if it was nobody in the tenant.
    granted_by_id: Option<ID>,
    /// Why it was given.
    reason: Option<String>,
}

/// A role in an explanation.
#[derive(Clone, Debug, SimpleObject)]
pub struct AccessRole {
    /// Its id.
    id: ID,
    /// Its key.
    key: String,
    /// Its name.
    name: String,
}

/// A workspace in an explanation.
#[derive(Clone, Debug, SimpleObject)]
pub struct AccessWorkspace {
    /// Its id.
    id: ID,
    /// Its slug.
    slug: String,
}

impl From<&Reason> for AccessReason {
    fn from(reason: &Reason) -> Self {
        Self {
            kind: reason.kind.into(),
            message: message(reason),
            permission: reason.says,
            grant: reason.grant.clone().map(AccessGrant::from),
        }
    }
}

impl From<GrantTold> for AccessGrant {
    fn from(grant: GrantTold) -> Self {
        let (group_id, group_name) = grant.group.unzip();
        Self {
            role_grant_id: grant.id.into(),
            roles: grant.roles.into_iter().map(|(id, key, name)| AccessRole { id: id.into(), key, name }).collect(),
            group_id: group_id.map(ID::from),
            group_name,
            is_tenant_wide: grant.is_tenant_wide,
            workspaces: (grant.workspaces.into_iter())
                .map(|(id, slug)| AccessWorkspace { id: id.into(), slug })
                .collect(),
            expires_at: grant.expires_at.map(DateTime),
            granted_by_id: grant.granted_by.map(ID::from),
            reason: grant.reason,
        }
    }
}

/// The reason as a sentence.
fn message(reason: &Reason) -> String {
    let grant = reason.grant.as_ref();
    let role =
        |at: Option<&(crate::ids::RoleId, String, String)>| at.map_or("?", |(_, _, name)| name.as_str()).to_owned();
    let given = grant.map_or_else(String::new, |grant| {
        let place = match grant.workspaces.first() {
            _ if grant.is_tenant_wide => "in the whole tenant".to_owned(),
            Some((_, slug)) => format!("on {slug}"),
            None => "on a workspace".to_owned(),
        };
        let group = grant.group.as_ref().map_or_else(String::new, |(_, name)| format!(" to the group {name}"));
        let line = match grant.roles.as_slice() {
            [_, .., last] => format!(", which inherits from {}", last.2),
            _ => String::new(),
        };
        format!("the role {}{line}, given {place}{group}", role(grant.roles.first()))
    });
    let says = reason.says.map_or("it", Permission::name);
    match reason.kind {
        ReasonKind::Granted => format!("It is allowed by {given}: {says}."),
        ReasonKind::Denied => format!("It is denied by {given}: {says}."),
        ReasonKind::TenantOnly => {
            format!("It would come from {given}, but only a grant for the whole tenant gives it.")
        }
        ReasonKind::Private => format!("It would come from {given}, but the workspace is private."),
        ReasonKind::OutsideScopes => "The API key was not issued for it.".to_owned(),
        ReasonKind::OutsideWorkspaces => "The API key does not reach this place.".to_owned(),
        ReasonKind::NotGranted => "No role that reaches this place allows it.".to_owned(),
        ReasonKind::Suspended => "The member is suspended, or the service account disabled.".to_owned(),
        ReasonKind::KeyRevoked => "The API key was revoked.".to_owned(),
        ReasonKind::KeyExpired => "The API key has expired, or was replaced.".to_owned(),
    }
}

/// Reads about rights.
#[derive(Default)]
pub struct AccessQuery;

#[Object]
impl AccessQuery {
    /// Why somebody holds a right somewhere, or lacks it; null for a principal or a workspace that you may not see. About
    /// others than yourself it needs `access:explain`.
    #[graphql(directive = authenticated::apply(), directive = tenant_scoped::apply(), directive = cost::apply(10))]
    async fn explain_access(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose right.")] principal: AccessPrincipalInput,
        #[graphql(desc = "Which right.")] permission: Permission,
        #[graphql(desc = "On which workspace; the tenant as a whole if nothing is said.")] workspace_id: Option<ID>,
    ) -> Answer<AccessExplanationNode> {
        let found = async {
            let workspace = workspace_id.as_ref().map(parse).transpose()?;
            let scope = gql::scope(ctx);
            let found = explain::explain(&scope, principal.read()?, permission, workspace).await?;
            Ok(found.map(AccessExplanationNode))
        };
        answer(Box::pin(found).await)
    }
}

/// What `accessReviewExport` prepared.
#[derive(SimpleObject)]
pub struct AccessReviewExportPayload {
    /// Where to fetch the file (CSV), once, with the credential that asked for it: a path on this host. Shown this once: a
    /// repetition under the same idempotency key has null.
    #[graphql(directive = sensitive::apply())]
    url: Option<String>,
    /// Until when it can be fetched; null if nothing was written.
    expires_at: Option<DateTime>,
    /// What to correct. Empty means that it was done.
    user_errors: Vec<UserError>,
}

/// Exports of rights.
#[derive(Default)]
pub struct AccessMutation;

#[Object]
impl AccessMutation {
    /// Prepares a review of every right of every member, service account and API key, as a file to fetch within ten
    /// minutes. It holds private workspaces, too.
    #[graphql(
        directive = requires_scopes::apply(AuditLogsExport),
        directive = tenant_scoped::apply(),
        directive = audited::apply(Action::AccessReviewExport.name()),
        directive = cost::apply(100)
    )]
    async fn access_review_export(&self, ctx: &Context<'_>) -> Option<Result<AccessReviewExportPayload>> {
        gql::renew(ctx);
        let request = gql::request(ctx);
        let written = tickets::create(gql::services(ctx), request).await;
        let slug = request.tenant.as_ref().map(|tenant| tenant.slug.to_string()).unwrap_or_default();
        let again = async |expires_at| Ok(Some(Ticket { token: None, expires_at }));
        gql::payload(written, again, |ticket, user_errors| {
            let expires_at = ticket.as_ref().map(|ticket| DateTime(ticket.expires_at));
            let token = ticket.and_then(|ticket| ticket.token);
            let url = token.map(|token| format!("/exports/{}?tenant={slug}", token.expose_secret()));
            AccessReviewExportPayload { url, expires_at, user_errors }
        })
        .await
    }
}
