//! What this process does with the notices of all processes, its own included.
//!
//! They come in the order of the commits behind them, and each is dealt with before the next: when subscribers are woken
//! for an event, the rights that changed before it are forgotten already. When the connection was lost and is back,
//! everything that may have been missed is taken for changed; until then the caches are believed for four seconds after
//! everything was heard for the last time (`cache::Hearing`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::task::JoinHandle;

use crate::{
    db::{Ears, Heard, ListenError, Listener, Notice},
    domain::{Services, error::chain, live::Change},
    ids::{Id, SessionId, TenantId, UserId},
};

/// Changes of rights: `tenant:version`.
const ACCESS: &str = "tenantry_access";
/// Changes of a tenant's state, slug, hosts or plan: the tenant, or every one.
const TENANTS: &str = "tenantry_tenants";
const EVERY_TENANT: &str = "*";
/// The outbox has grown, in a tenant with subscribers: the tenant.
const EVENTS: &str = "tenantry_events";
/// The audit log has grown, in a tenant with subscribers: the tenant.
const AUDIT: &str = "tenantry_audit";
/// Ends of sessions: `session:id` or `user:id`.
const SESSIONS: &str = "tenantry_sessions";

/// The longest pause between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Listens as long as this lives.
pub struct Notices {
    connected: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Notices {
    /// Connects, and waits for the proof that notices arrive.
    ///
    /// # Errors
    /// [`ListenError`], with what to do.
    pub async fn start(services: &Services, url: &SecretString) -> Result<Self, ListenError> {
        let listener = Listener::new(url, &[ACCESS, TENANTS, EVENTS, AUDIT, SESSIONS])?;
        let ears = listener.connect(&services.db).await?;
        let connected = Arc::new(AtomicBool::new(true));
        set(&connected, true);
        services.hearing.begins(Instant::now());
        let task = tokio::spawn(listen(services.clone(), listener, ears, Arc::clone(&connected)));
        Ok(Self { connected, task })
    }

    /// Whether notices arrive at present.
    pub fn are_heard(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }
}

fn set(connected: &AtomicBool, is_connected: bool) {
    connected.store(is_connected, Ordering::Release);
    metrics::gauge!("tenantry_notices_connected").set(if is_connected { 1.0 } else { 0.0 });
}

async fn listen(services: Services, listener: Listener, mut ears: Ears, connected: Arc<AtomicBool>) {
    loop {
        while let Ok(heard) = ears.next().await {
            match heard {
                Heard::Notice(notice) => heed(&services, &notice).await,
                Heard::Everything(until) => services.hearing.heard_until(until),
            }
        }
        set(&connected, false);
        tracing::warn!("the connection for notices was lost; changes elsewhere are seen when cache entries end");
        let mut pause = Duration::from_millis(50);
        ears = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match listener.connect(&services.db).await {
                Ok(ears) => break ears,
                Err(error) => tracing::warn!(error = %chain(&error), "notices are not heard yet; trying again"),
            }
        };
        set(&connected, true);
        everything_changed(&services);
        services.hearing.begins(Instant::now());
        tracing::info!("notices are heard again");
    }
}

/// Forgets whatever another process may have changed.
fn everything_changed(services: &Services) {
    services.memberships.forget_all();
    services.tenants.forget_all();
    services.identity.sessions().forget_all();
    services.identity.api_keys().forget_all();
    services.live.changed(Change::Everything);
    services.live.wake_all();
}

async fn heed(services: &Services, notice: &Notice) {
    let payload = notice.payload.as_str();
    let known = match notice.channel.as_str() {
        ACCESS => {
            let read = payload.split_once(':');
            let read = read.and_then(|(tenant, version)| Some((id::<TenantId>(tenant)?, version.parse().ok()?)));
            if let Some((tenant, version)) = read {
                // Entries of this version or a later one stay: our own changes are announced to us as well.
                services.hearing.rights_changed(tenant, version);
                services.live.changed(Change::Tenant(tenant));
            }
            read.is_some()
        }
        TENANTS if payload == EVERY_TENANT => {
            services.tenants.forget_all();
            services.identity.api_keys().forget_all();
            true
        }
        TENANTS => {
            let tenant = id::<TenantId>(payload);
            if let Some(tenant) = tenant {
                services.tenants.forget(tenant).await;
                services.identity.api_keys().forget_tenant(tenant);
                services.live.changed(Change::Tenant(tenant));
            }
            tenant.is_some()
        }
        EVENTS => id(payload).map(|tenant| services.live.tasks.wake(tenant)).is_some(),
        AUDIT => id(payload).map(|tenant| services.live.audit.wake(tenant)).is_some(),
        SESSIONS => match payload.split_once(':') {
            Some(("session", session)) => match id::<SessionId>(session) {
                Some(session) => {
                    services.identity.sessions().forget(session).await;
                    services.live.changed(Change::Session(session));
                    true
                }
                None => false,
            },
            Some(("user", user)) => match id::<UserId>(user) {
                Some(user) => {
                    services.identity.sessions().forget_user(user).await;
                    services.live.changed(Change::User(user));
                    true
                }
                None => false,
            },
            _ => false,
        },
        _ => false,
    };
    metrics::counter!("tenantry_notices_total", "channel" => channel_label(&notice.channel)).increment(1);
    if !known {
        // From a newer server, perhaps: whatever it means, nothing here is older than it.
        tracing::debug!(channel = notice.channel, "a notice is not understood; everything is taken for changed");
        everything_changed(services);
    }
}

fn id<T: Id>(text: &str) -> Option<T> {
    text.parse().ok().map(T::from_uuid)
}

fn channel_label(channel: &str) -> &'static str {
    match channel {
        ACCESS => "access",
        TENANTS => "tenants",
        EVENTS => "events",
        AUDIT => "audit",
        SESSIONS => "sessions",
        _ => "other",
    }
}
