//! What the one who asks may do, as it changes.

use async_graphql::{Context, ID, Object, Result, Subscription};
use futures::{Stream, stream};

use crate::{
    access::{On, Permission},
    context::RequestContext,
    domain::gql::Listening,
    graphql::{
        directives::{authenticated, list_size, tenant_scoped},
        ids::parse,
    },
};

/// What the one who asks may do from now on.
pub struct ViewerPermissionsNode {
    version: i64,
    workspace_id: Option<ID>,
    permissions: Vec<Permission>,
}

/// What the one who asks may do from now on.
#[Object(name = "ViewerPermissions")]
impl ViewerPermissionsNode {
    /// The id of this event: grows with every change of rights in the tenant.
    async fn event_id(&self) -> ID {
        ID(self.version.to_string())
    }

    /// The workspace that was asked about; null for the tenant as a whole.
    async fn workspace_id(&self) -> Option<&ID> {
        self.workspace_id.as_ref()
    }

    /// Everything the caller may do there; what is missing was lost.
    #[graphql(directive = list_size::apply(CATALOGUE_SIZE))]
    async fn permissions(&self) -> &[Permission] {
        &self.permissions
    }
}

const CATALOGUE_SIZE: i32 = Permission::ALL.len() as i32;

struct Watch {
    listening: Listening,
    on: On,
    workspace_id: Option<ID>,
    known: Vec<Permission>,
}

impl Watch {
    fn held(now: &RequestContext, on: On) -> Vec<Permission> {
        Permission::ALL.iter().copied().filter(|permission| now.can(*permission, on)).collect()
    }

    async fn next(&mut self) -> Option<ViewerPermissionsNode> {
        loop {
            let now = self.listening.changed().await?;
            let held = Self::held(&now, self.on);
            if held != self.known {
                self.known.clone_from(&held);
                let version = now.membership.as_ref().map_or(0, |membership| membership.rights.version);
                return Some(ViewerPermissionsNode {
                    version,
                    workspace_id: self.workspace_id.clone(),
                    permissions: held,
                });
            }
        }
    }
}

/// What is told about the one who asks as it happens.
#[derive(Default)]
pub struct ViewerSubscription;

#[Subscription]
impl ViewerSubscription {
    /// What you may do in this tenant, whenever that changes: as a whole, or in one workspace. Subscribe first, then ask
    /// `viewer { permissions }` for what holds already.
    #[graphql(directive = authenticated::apply(), directive = tenant_scoped::apply())]
    async fn viewer_permissions_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In this workspace; if nothing is said, in the tenant as a whole.")] workspace_id: Option<ID>,
    ) -> Result<impl Stream<Item = Option<ViewerPermissionsNode>> + use<>> {
        let mut listening = Listening::of(ctx)?;
        let on = match &workspace_id {
            None => On::Tenant,
            Some(id) => On::Workspace(parse(id)?),
        };
        let known = Watch::held(&listening.now(), on);
        let watch = Watch { listening, on, workspace_id, known };
        Ok(stream::unfold(watch, |mut watch| async move { Some((Some(watch.next().await?), watch)) }))
    }
}
