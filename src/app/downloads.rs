//! Files that were asked for through the API: who fetches what is decided here.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, channel::mpsc, future::BoxFuture};
use http::HeaderValue;

use super::{App, pipeline::Known};
use crate::{
    context::{Door, RequestContext},
    db::Stats,
    domain::access::{review, tickets},
    graphql::{ApiError, ErrorCode},
    http::{
        download::{Download, DownloadService},
        endpoint::{Refusal, Transport},
    },
};

/// So many files are written at once; each holds a connection to the database.
pub(super) const AT_ONCE: usize = 2;

/// How long one may take, the client's patience included.
const LONGEST: Duration = Duration::from_secs(120);

/// So many pieces wait for a slow client.
const AHEAD: usize = 2;

impl DownloadService for App {
    fn fetch(&self, transport: Transport, token: String) -> BoxFuture<'_, Result<Option<Download>, Refusal>> {
        Box::pin(self.download(transport, token))
    }
}

impl App {
    async fn download(&self, transport: Transport, token: String) -> Result<Option<Download>, Refusal> {
        let stats = Arc::new(Stats::default());
        let (principal, key_tenant) = self.authenticate(&transport, &stats).await.map_err(|refusal| *refusal)?;
        if !principal.is_authenticated() {
            let message = "Send the credential that the export was asked for with.";
            return Err(ApiError::new(ErrorCode::Unauthenticated, message).reason("missing").into());
        }
        let mut known = Known::default();
        let place = self.place(&transport, &principal, key_tenant, &stats, &mut known).await;
        let place = place.map_err(|refusal| *refusal)?;
        let (tenant, membership) = place;
        let slug = tenant.as_ref().map(|tenant| tenant.slug.to_string()).unwrap_or_default();
        let ctx = RequestContext {
            principal,
            tenant,
            membership,
            clock: self.services.clock.clone(),
            request: transport.request_id,
            stats,
            client_address: Some(transport.client_addr),
            user_agent: transport.user_agent,
            operation_name: None,
            idempotency: None,
            door: Door::Api,
        };
        let Ok(scope) = ctx.scope() else { return Ok(None) };
        let Ok(permit) = Arc::clone(&self.downloads).try_acquire_owned() else {
            let message = "Other exports are being written. Try again soon; the ticket stays good.";
            return Err(ApiError::new(ErrorCode::Unavailable, message).retry_after(Duration::from_secs(10)).into());
        };
        let taken = tickets::take(&self.services, &ctx, &token).await;
        if !taken.map_err(|error| Refusal::from(error.into_api()))? {
            return Ok(None);
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (db, now) = (self.services.db.clone(), ctx.now());
        tokio::spawn(async move {
            let writing = review::write(db, scope, now, sender);
            if tokio::time::timeout(LONGEST, writing).await.is_err() {
                tracing::warn!("a review of rights took too long to fetch and was cut off");
            }
            // The tenant's turn lasts as long as the connection is held.
            drop((permit, known));
        });
        let name = format!("attachment; filename=\"access-review-{slug}-{}.csv\"", now.format("%Y-%m-%d"));
        let disposition = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
        let media_type = HeaderValue::from_static("text/csv; charset=utf-8");
        Ok(Some(Download { media_type, disposition, pieces: receiver.boxed() }))
    }
}
