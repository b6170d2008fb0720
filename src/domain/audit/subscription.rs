//! The audit log as it grows.

use std::{collections::VecDeque, sync::Arc};

use async_graphql::{Context, ID, Result, Subscription};
use futures::{Stream, stream};

use super::{
    feed::AuditEntries,
    graphql::{AuditLogFilter, AuditLogNode},
    types::{AuditFind, AuditLog},
};
use crate::{
    access::{On, Permission::AuditLogsRead},
    domain::{
        Error,
        gql::{self, Listening},
        live::feed::Inlet,
    },
    graphql::{
        directives::{requires_scopes, tenant_scoped},
        ids::parse,
    },
    ids::{AuditLogId, Id},
};

struct Appended {
    listening: Listening,
    inlet: Inlet<AuditEntries>,
    find: AuditFind,
    batch: VecDeque<Arc<AuditLog>>,
    version: i64,
}

impl Appended {
    /// The next entry that is wanted and may be seen; `None` at the end of the socket.
    async fn next(&mut self) -> Option<AuditLogNode> {
        loop {
            let Some(entry) = self.batch.pop_front() else {
                let Ok(batch) = self.inlet.next().await else {
                    self.listening.fell_behind();
                    return None;
                };
                self.version = batch.version;
                self.batch = batch.items.into_iter().map(|(_, entry)| entry).collect();
                continue;
            };
            if !self.find.takes(&entry) {
                continue;
            }
            let now = self.listening.current(self.version).await?;
            if now.can(AuditLogsRead, entry.workspace_id.map_or(On::Tenant, On::Workspace)) {
                self.listening.about_to_show(now).await;
                return Some(AuditLogNode(AuditLog::clone(&entry)));
            }
        }
    }
}

/// What is told about the audit log as it happens.
#[derive(Default)]
pub struct AuditSubscription;

#[Subscription]
impl AuditSubscription {
    /// The entries that are added to the audit log and that you may see, from now on. After a break, send the last `id` as
    /// `after`: nothing of the last hour is lost.
    #[graphql(directive = requires_scopes::apply(AuditLogsRead), directive = tenant_scoped::apply())]
    async fn audit_log_appended(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which entries.")] filter: Option<AuditLogFilter>,
        #[graphql(desc = "Begin behind this entry, which is not older than an hour.")] after: Option<ID>,
    ) -> Result<impl Stream<Item = Option<AuditLogNode>> + use<>> {
        let listening = Listening::of(ctx)?;
        let after = after.as_ref().map(parse::<AuditLogId>).transpose()?.map(Id::uuid);
        let find = filter.unwrap_or_default().find()?;
        let tenant = gql::request(ctx).tenant().map_err(Error::from)?.id;
        let inlet = gql::services(ctx).live.audit.open(tenant, after).await?;
        let appended = Appended { listening, inlet, find, batch: VecDeque::new(), version: 0 };
        Ok(stream::unfold(appended, |mut appended| async move { Some((Some(appended.next().await?), appended)) }))
    }
}
